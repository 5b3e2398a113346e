"""How many files the agent may have open, in processes of their own: a limit that is lowered stays so."""

import subprocess
import sys

import pytest

ASKED = """
import resource, sys
from vitalsd.limits import most_segments, raise_open_files
soft, hard = map(int, sys.argv[1:])
resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
before = most_segments()
raise_open_files()
print(before, *resource.getrlimit(resource.RLIMIT_NOFILE), most_segments())
"""


@pytest.mark.parametrize(
    ("soft", "hard", "expected"),
    [(256, 512, "128 512 512 256"), (512, 512, "256 512 512 256"), (64, 10_000, "32 10000 10000 4096")],
)
def test_open_files(soft, hard, expected):
    """The soft limit becomes the hard one, and segments get at most half of it."""
    command = [sys.executable, "-c", ASKED, str(soft), str(hard)]
    assert subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip() == expected


@pytest.mark.parametrize(("hard", "raised"), [(1_000_000, 65_536), (-1, 65_536)])
def test_within_reason(monkeypatch, hard, raised):
    """A machine without limits gets one; and what is higher already is not lowered."""
    import resource

    from vitalsd import limits

    set_to = []
    monkeypatch.setattr(resource, "setrlimit", lambda _, limit: set_to.append(limit))
    monkeypatch.setattr(resource, "getrlimit", lambda _: (1024, hard))
    limits.raise_open_files()
    monkeypatch.setattr(resource, "getrlimit", lambda _: (100_000, hard))
    limits.raise_open_files()
    assert set_to == [(raised, hard)]
