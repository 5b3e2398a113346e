"""The kernel's rule against what was measured, and the line that grants what is missing."""

import re
from pathlib import Path

import pytest

from vitalsd.doctor.permission import (
    CAPABILITIES,
    MEASURED,
    MEASURED_TARGET,
    SYS_PTRACE,
    Standing,
    grant,
    may_look,
    may_read_files,
    names,
)

DOCS = Path(__file__).parents[3] / "docs" / "permissions.md"
SERVICE = Standing((4001, 4001, 4001), (4001, 4001, 4001))


@pytest.mark.parametrize("row", MEASURED, ids=lambda row: row.agent)
def test_the_rule_is_what_was_measured(row):
    """Each row of the table that was tried comes out as it did."""
    looked = may_look(row.standing, MEASURED_TARGET, file_capable=row.file_capable)
    assert looked.may is row.works, looked.why
    assert looked.why


@pytest.mark.parametrize("row", MEASURED, ids=lambda row: row.agent)
def test_the_table_is_in_the_docs(row):
    """docs/permissions.md has the same rows with the same outcome."""
    lines = [line for line in DOCS.read_text().splitlines() if line.startswith(f"| {row.agent} |")]
    assert [("works" in line, "denied" in line) for line in lines] == [(row.works, not row.works)]


@pytest.mark.parametrize(
    ("yama", "capable", "may"),
    [
        (None, False, True),
        (0, False, True),
        (1, False, False),
        (2, False, False),
        (3, False, False),
        (1, True, True),
        (2, True, True),
        (3, True, False),
    ],
)
def test_yama(yama, capable, may):
    """Above 0 the same user is not enough, and at 3 nothing is."""
    bits = SYS_PTRACE if capable else 0
    agent = Standing(SERVICE.uids, SERVICE.gids, bits, bits, 0, bits, yama=yama)
    looked = may_look(agent, SERVICE)
    assert looked.may is may
    assert may or "ptrace_scope" in looked.why


def test_what_the_service_has_more():
    """One user is not enough where the process has another group, capabilities, or does not let itself be read."""
    agent = Standing(SERVICE.uids, SERVICE.gids)
    assert "gid 7" in may_look(agent, Standing(SERVICE.uids, (7, 7, 7))).why
    assert "CAP_NET_BIND_SERVICE" in may_look(agent, Standing(SERVICE.uids, SERVICE.gids, permitted=1 << 10)).why
    assert "dumpable" in may_look(agent, SERVICE, dumpable=False).why


def test_the_right_to_attach_is_not_the_right_to_open():
    """Files of /proc that are their owner's alone ask for more than CAP_SYS_PTRACE of who is not that owner."""
    bits = SYS_PTRACE
    attaches = Standing((0, 0, 0), (0, 0, 0), bits, bits)
    assert may_look(attaches, SERVICE).may
    assert not may_read_files(attaches, 4001).may
    assert "CAP_DAC_READ_SEARCH" in may_read_files(attaches, 4001).why
    for more in ("DAC_READ_SEARCH", "DAC_OVERRIDE"):
        bits = SYS_PTRACE | 1 << CAPABILITIES.index(more)
        assert may_read_files(Standing((0, 0, 0), (0, 0, 0), bits, bits), 4001).may
    assert may_read_files(SERVICE, 4001).may


def test_a_capability_of_another_user_namespace_does_not_count():
    """Root of a container is nobody outside of it."""
    root = Standing((0, 0, 0), (0, 0, 0), SYS_PTRACE, SYS_PTRACE)
    assert may_look(root, SERVICE).may
    assert not may_look(root, SERVICE, related=False).may


@pytest.mark.parametrize(
    ("where", "yama", "uid", "expected"),
    [
        ("kubernetes", 0, 4002, r"runAsUser: 4001, runAsGroup: 4001"),
        (
            "kubernetes",
            1,
            4002,
            r"runAsUser: 0, .*add: \[SYS_PTRACE, DAC_READ_SEARCH\]",
        ),
        ("systemd", 0, 4002, r"^AmbientCapabilities=CAP_SYS_PTRACE"),
        ("host", 0, 4002, r"^sudo vitalsd watch --pid 7$"),
        ("host", 3, 4002, r"sysctl\.d"),
        ("host", None, 0, r"^setpriv --reuid 4001 --regid 4001"),
    ],
)
def test_how_to_change_it(where, yama, uid, expected):
    """One command, or the lines of a pod or a unit, by where the agent runs."""
    agent = Standing((uid, uid, uid), (uid, uid, uid), yama=yama)
    assert re.search(expected, grant(agent, SERVICE, 7, where))


def test_names_of_capabilities():
    """By bit, and by number where this version knows no name."""
    assert names(SYS_PTRACE | 1) == ("CAP_CHOWN", "CAP_SYS_PTRACE")
    assert names(1 << 40 | 1 << 41) == ("CAP_CHECKPOINT_RESTORE", "CAP_41")
