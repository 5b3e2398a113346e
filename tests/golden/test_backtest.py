"""
What `vitalsd backtest` prints of the classic incident, byte for byte.

A service of 300 MiB under a sawtooth with a limit of 600 MiB that begins to leak 50 MiB an hour after a day: seen
from outside in one worker and with a probe in the other. UPDATE_GOLDEN=1 writes it anew, to be reviewed.
"""

from __future__ import annotations

import os
from pathlib import Path

import msgspec
import pytest
from unit.detect.growth.lives import flat, life, noise, ramp, saw, together

from vitalsd.cli import main

GOLDEN = Path(__file__).parent


def recording() -> bytes:
    """28 hours of two workers, every five minutes."""
    memory = together(flat(300), saw(60, 21), ramp(50, 24))
    plain = life(28, together(memory, noise(1.0)), limit=600, every_minutes=5, fds=flat(40), threads=flat(9))
    heap = together(flat(180), ramp(50, 24), noise(0.5, seed=2))
    tasks = {"tasks": flat(30), "heap_live": heap}
    probed = life(28, together(memory, noise(1.0, seed=3)), limit=600, every_minutes=5, worker="1", **tasks)
    points = sorted([*plain, *probed], key=lambda point: point.t)
    return b"".join(msgspec.json.encode(point) + b"\n" for point in points)


@pytest.mark.parametrize(("form", "name"), [([], "backtest.txt"), (["--json"], "backtest.jsonl")])
def test_backtest_prints_what_it_did(form, name, tmp_path, monkeypatch, capsys) -> None:
    """A sentence, a number, a time or a reason changes only when somebody says so."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("VITALSD_CONFIG", str(tmp_path / "empty.yaml"))
    (tmp_path / "empty.yaml").write_text("")
    (tmp_path / "classic.jsonl").write_bytes(recording())
    assert main(["backtest", "classic.jsonl", *form]) == 0
    actual = capsys.readouterr().out
    if os.environ.get("UPDATE_GOLDEN") == "1":
        (GOLDEN / name).write_text(actual, encoding="utf-8")
    assert actual == (GOLDEN / name).read_text(encoding="utf-8")
