"""Descriptors that a library closes later: whoever has their numbers by then keeps what is theirs."""

import contextlib
import os
from pathlib import Path

import pytest

from vitalsd.probe.python.lent import Lent, leading_to


class Anywhere:
    """Every place."""

    def __contains__(self, place):
        return True


ANYWHERE = Anywhere()


@pytest.fixture
def lent(tmp_path):
    """A library's file, and where it leads."""
    path = str(tmp_path / "library's")
    places = Lent((path,))
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    places.note()
    yield places, descriptor, path
    with contextlib.suppress(OSError):
        os.close(descriptor)


def test_what_is_the_library_s_is_used(lent):
    """Nothing is in its way."""
    places, descriptor, path = lent
    places.while_ours(lambda: os.write(descriptor, b"told"))
    assert Path(path).read_bytes() == b"told"


def test_what_is_somebody_else_s_is_not_touched(lent, tmp_path):
    """Neither written to nor closed, and inherited as before."""
    places, descriptor, _ = lent
    mine = os.open(tmp_path / "mine", os.O_RDWR | os.O_CREAT, 0o600)
    os.dup2(mine, descriptor, inheritable=True)

    def use():
        os.write(descriptor, b"told")
        os.close(descriptor)

    places.while_ours(use)
    assert os.path.samestat(os.fstat(descriptor), os.fstat(mine))
    assert os.get_inheritable(descriptor)
    assert os.fstat(mine).st_size == 0
    os.close(mine)


def test_what_was_closed_stays_closed(lent):
    """The library closes it again, and nobody is the worse for it."""
    places, descriptor, _ = lent
    os.close(descriptor)
    before = len(leading_to(ANYWHERE))
    places.while_ours(lambda: os.close(descriptor))
    assert len(leading_to(ANYWHERE)) == before


def test_it_is_put_back_after_an_error(lent, tmp_path):
    """Whatever the library does."""
    places, descriptor, _ = lent
    mine = os.open(tmp_path / "mine", os.O_RDWR | os.O_CREAT, 0o600)
    os.dup2(mine, descriptor)

    def use():
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        places.while_ours(use)
    assert os.path.samestat(os.fstat(descriptor), os.fstat(mine))
    os.close(mine)
