"""What the questions of the benches have of peers: each is pinned, and the truth they are held against is one."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).parents[2]))  # bench/ is part of the tree, not of the package

from bench import peers
from bench.questions import probe_node, probe_python, truth
from bench.questions.cost import FOLDER, Monitor, not_to_be_had, own_folder

PINNED_PYTHON = {line.partition("==")[0] for line in (peers.HERE / "requirements.txt").read_text().split("\n")}
PINNED_NODE = json.loads((peers.HERE / "package.json").read_text())["dependencies"]


def test_every_peer_is_pinned() -> None:
    """What a row is of is installed by scripts/bench-packages, in one version."""
    assert {one.package for one in probe_python.MONITORS if one.package} <= PINNED_PYTHON
    assert {one.package for one in probe_node.MONITORS if one.package} <= set(PINNED_NODE)
    assert set(truth.CLIENTS) <= set(PINNED_NODE)
    assert all(version[0].isdigit() for version in PINNED_NODE.values())


@pytest.mark.parametrize("monitors", [probe_python.MONITORS, probe_node.MONITORS])
def test_one_is_ours(monitors: tuple[Monitor, ...]) -> None:
    """Rows are told apart by their names, one is ours, and the noise of the method comes first."""
    assert len({one.name for one in monitors}) == len(monitors)
    assert [one.ours for one in monitors].count(True) == 1
    assert monitors[0].extra == {}


def test_what_is_not_installed_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A peer that could not be had has a row all the same."""
    monkeypatch.setattr(peers, "ENVIRONMENT", tmp_path)
    assert list((not_to_be_had(Monitor("one", package="aiodebug")) or {}).values()) == [
        "could not be installed here"
    ]
    assert not_to_be_had(Monitor("nothing to install")) is None
    (tmp_path / "lib" / "python3.11" / "site-packages" / "aiodebug-2.3.0.dist-info").mkdir(parents=True)
    assert not_to_be_had(Monitor("one", package="aiodebug")) is None
    assert Monitor("one", package="aiodebug").title == "one (2.3.0)"


def test_a_folder_of_its_own() -> None:
    """Each process that asks for one has a folder that nobody else has, while it runs."""
    with own_folder({"A": FOLDER, "B": "b"}) as first, own_folder({"A": FOLDER}) as second:
        assert Path(first["A"]).is_dir()
        assert first["A"] != second["A"]
        assert first["B"] == "b"
    assert not Path(first["A"]).exists()


def test_the_truth_of_blocks() -> None:
    """Of six blocks of a second in a minute the longest hundredth of all moments waits for 0.9 s and more."""
    before = {"blocks": 3, "blocked_seconds": 3.0}
    assert truth._truth(before, {"blocks": 9, "blocked_seconds": 9.0}, 60.0) == pytest.approx(0.9)
    assert truth._truth(before, before, 60.0) == 0.0
