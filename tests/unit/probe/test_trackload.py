"""Which memray a probe finds, and what others see of how it is loaded."""

import sys
import threading
from pathlib import Path

import pytest

from vitalsd.probe.python import trackload


@pytest.fixture
def searched(monkeypatch, tmp_path):
    """Nothing is to be found, but in the folders that a test makes."""
    monkeypatch.setattr(sys, "path", ["", str(tmp_path / "own")])
    monkeypatch.setattr(trackload, "__file__", str(tmp_path / "installed" / "version" / "vitalsd_probe" / "x.py"))
    monkeypatch.setenv(trackload.GIVEN_BY, f"relative:{tmp_path / 'given'}")
    return tmp_path


def put(folder: Path, kind=None) -> str:
    """A memray, of this kind of interpreter or of another."""
    package = folder / "memray"
    package.mkdir(parents=True)
    (package / f"_memray.{kind or trackload.kind()}.so").touch()
    return str(package)


def test_the_service_s_own_comes_first(searched):
    """Then the one beside the probe, then the one that it was given."""
    assert trackload.find() == ("", "")
    given = put(searched / "given")
    assert trackload.find() == (trackload.GIVEN, given)
    beside = put(searched / "installed" / trackload.FOLDER / trackload.kind())
    assert trackload.find() == (trackload.BESIDE, beside)
    own = put(searched / "own")
    assert trackload.find() == (trackload.OWN, own)


def test_only_for_this_interpreter(searched):
    """One that is built for another version, or another build, is none."""
    put(searched / "own", "cpython-37m-x86_64-linux-gnu")
    assert trackload.find() == ("", "")


def test_a_path_that_makes_no_sense(searched, monkeypatch):
    """A service may have anything in it."""
    monkeypatch.setattr(sys, "path", [None, 7, "\0", ".", str(searched / "own")])
    own = put(searched / "own")
    assert trackload.find() == (trackload.OWN, own)


def test_a_stand_in_is_seen_by_its_thread_alone(monkeypatch):
    """Any other that imports the module in that moment gets the module itself."""
    monkeypatch.delitem(sys.modules, "this_is_stood_in_for", raising=False)
    stand_in = trackload.StandIn("colorsys", "instead")
    seen = []

    def look() -> None:
        from colorsys import rgb_to_hsv

        seen.append(rgb_to_hsv)

    try:
        assert sys.modules["colorsys"] is stand_in
        assert stand_in.anything == "instead"
        thread = threading.Thread(target=look)
        thread.start()
        thread.join()
        assert seen[0].__module__ == "colorsys"
        assert sys.modules["colorsys"] is not stand_in
    finally:
        stand_in.go()
    assert sys.modules["colorsys"].rgb_to_hsv is seen[0]


def test_a_child_gives_up_its_parent_s_import(monkeypatch):
    """The lock of a module that another thread was importing at a fork is held by nobody in the child."""
    locks = sys.modules["_frozen_importlib"]._module_locks
    bootstrap = sys.modules["_frozen_importlib"]
    lock = bootstrap._get_module_lock("half_imported")
    thread = threading.Thread(target=lock.acquire)
    thread.start()
    thread.join()
    monkeypatch.setitem(sys.modules, "half_imported", threading)
    monkeypatch.setattr(trackload, "_importing", True)
    trackload.after_fork()
    assert "half_imported" not in locks
    assert "half_imported" not in sys.modules
