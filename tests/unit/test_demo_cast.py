"""Who plays in the demo, and how one that cannot is told."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from vitalsd.demo import cast
from vitalsd.demo.cast import introduced, players
from vitalsd.demo.faults import FAULTS
from vitalsd.demo.node_scenes import NODE_SCENES
from vitalsd.demo.scenes import SCENES


def node_that_says(folder: Path, script: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Have a program of this name on PATH, and nothing else."""
    node = folder / "node"
    node.write_text(f"#!/bin/sh\n{script}\n")
    node.chmod(0o755)
    monkeypatch.setenv("PATH", str(folder))


def test_node_plays_where_the_probe_knows_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two services, with a port for each worker and one after the other."""
    node_that_says(tmp_path, "echo v18.0.0", monkeypatch)
    both, left_out = players(100)

    assert [(each.target, each.ports) for each in both] == [("shop", (100, 101)), ("pages", (102,))]
    assert left_out is None
    assert "`shop` (Python, two workers) and `pages` (Node, one worker) run" in introduced(both)


@pytest.mark.parametrize(
    ("script", "reason"),
    [
        ("echo v16.20.2", "is v16.20.2, and the probe needs 18 or newer"),
        ("echo hello", "does not say which Node it is"),
        ("kill -9 $$", "does not say which Node it is"),
        ("printf '\\377'", "does not say which Node it is"),
    ],
)
def test_another_node_is_left_out_with_the_reason(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str, reason: str
) -> None:
    """One sentence, and the service of Python plays alone."""
    node_that_says(tmp_path, script, monkeypatch)
    alone, left_out = players(100)

    assert [each.target for each in alone] == ["shop"]
    assert left_out is not None
    assert reason in left_out
    assert "\n" not in left_out


def test_no_node_at_all_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody has to guess why there are fewer faults than in the README."""
    monkeypatch.setenv("PATH", str(tmp_path))

    assert players(100)[1] == "Node's part is left out: there is no `node` on PATH."


def test_a_node_that_does_not_answer_is_left_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is waited for, but not for ever."""
    monkeypatch.setattr(cast, "ASKED_SECONDS", 0.05)
    node_that_says(tmp_path, "exec /bin/sleep 30", monkeypatch)

    assert "TimeoutExpired" in str(players(100)[1])


def test_every_fault_has_a_scene_that_says_what_it_is() -> None:
    """What a service can do wrong is played, by the same name, and told in one line for who tries it."""
    pages = cast.PAGES.read_text()
    of_node = re.findall(
        r"^  (\w+): ", pages[pages.index("const FAULTS") : pages.index("function calm")], re.MULTILINE
    )

    assert list(SCENES) == list(FAULTS)
    assert list(NODE_SCENES) == of_node
    assert not [name for name, scene in (SCENES | NODE_SCENES).items() if not scene.__doc__]
