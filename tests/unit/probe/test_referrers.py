"""Where objects lie in memory: found out on known ones, refused where they do not fit; and whose a word is."""

import struct
import weakref
from pathlib import Path

import pytest

from vitalsd.probe.python import referrers as searching
from vitalsd.probe.python import shapes as module
from vitalsd.probe.python.chains import Chains, Kind, Parent
from vitalsd.probe.python.held import measured
from vitalsd.probe.python.memory import Memory
from vitalsd.probe.python.protocol import Refused
from vitalsd.probe.python.referrers import name_of, referrers
from vitalsd.probe.python.shapes import Copies, Shapes
from vitalsd.probe.python.tables import is_object


class Held:
    """What is looked for here."""


class Owner:
    """What holds it."""

    def __init__(self, held):
        self.held = held


@pytest.fixture
def shapes():
    """What lies where in this interpreter."""
    memory = Memory()
    yield Shapes(Copies(memory))
    memory.close()


@pytest.fixture
def chains(shapes):
    """No chain yet; a few types are known."""
    made = Chains(shapes)
    for kind in (Held, Owner, dict, list, type):
        made.kinds[id(kind)] = Kind(kind)
    return made


def test_this_interpreter_is_known(shapes):
    """A dict's keys in their order, a name, and what instances call their attributes."""
    keep = {"first": 1, "second": 2}
    table = shapes.table_of(id(keep))
    assert [shapes.name_at(table.key(at)) for at in range(3)] == ["first", "second", ""]
    Owner(1)
    assert shapes.attribute(id(Owner), 0) in ("held", "")


@pytest.mark.parametrize("text", ["x" * 101, "caf\xe9", "two\nlines", "", "\u20ac"])
def test_what_is_no_name(shapes, text):
    """Long ones, others than ASCII, and what cannot be printed."""
    assert shapes.name_at(id(text)) == ""


@pytest.mark.parametrize(
    ("name", "value", "what"),
    [("TEXT", 56, "strings"), ("TYPE_DICT", 256, "classes")],
)
def test_another_layout_is_refused(monkeypatch, name, value, what):
    """One sentence instead of chains that would be wrong."""
    monkeypatch.setattr(module, name, value)
    memory = Memory()
    with pytest.raises(Refused, match=f"{what} of this interpreter"):
        Shapes(Copies(memory))
    memory.close()


def test_copies_are_known_as_such(shapes):
    """What was copied is found by nobody: the buffers' own addresses are left out."""
    copies = shapes.copies
    words = struct.unpack("<6Q", copies.memory.read(id(copies.large), 48))
    assert copies.is_mine(words[5])
    assert not copies.is_mine(words[5] + len(copies.large))


def test_memory_that_is_not_there(shapes):
    """Addresses of nothing read as nothing."""
    assert shapes.copies.words(8, 4) == ()
    assert shapes.copies.word(1 << 60) == 0


def test_what_lives(chains, shapes):
    """An object that is referred to, of a type that is known; an address within it is none."""
    one = Held()
    assert is_object(chains, shapes, id(one), id(Held))
    assert not is_object(chains, shapes, id(one) + 16, id(Held))
    assert not is_object(chains, shapes, id(one), id(Owner))


def test_a_dict_is_told_by_its_owner(chains):
    """Its keys are names once it is known to be an instance's own, and not before."""
    held, owner, names = Held(), Owner(None), {"held": None}
    key = id(next(iter(names)))
    chains.note(id(held), Parent(id(names), id(dict), key=key))
    (parent,) = chains._parents[-id(held)]
    assert parent.name == ""
    chains.note(id(names), Parent(id(owner), id(Owner), own=True))
    assert parent.name == "held"


def outcome(job):
    """The text in the end."""
    while True:
        try:
            next(job)
        except StopIteration as over:
            return over.value.decode()


def test_no_such_type():
    """A type that is gone is refused in words."""
    with pytest.raises(Refused, match="no type of this name"):
        outcome(referrers(name_of("app.Gone")))


def test_nothing_is_held():
    """What dies between two steps dies at once, and a search that is given up closes its files."""
    before = len(list(Path("/proc/self/fd").iterdir()))
    one = Held()
    died = weakref.ref(one)
    job = referrers(name_of(f"{__name__}.Held"))
    for _ in range(20):
        next(job)
    del one
    assert died() is None
    job.close()
    assert len(list(Path("/proc/self/fd").iterdir())) == before


def test_a_search_that_is_given_up_says_how_far_it_came(monkeypatch):
    """In bytes of the memory that there is."""
    monkeypatch.setattr(searching, "MOST_CPU_SECONDS", 0.0)
    kept = Held()
    head = dict(
        pair.split("=") for pair in outcome(referrers(name_of(f"{__name__}.Held"))).split("\n")[0].split("\t")
    )
    assert head["cut"] == "1"
    assert 0 < int(head["reached_bytes"]) < int(head["heap_bytes"])
    del kept


def test_how_long_it_was_held():
    """The longest step is in the head of the answer; the rows stay as they are, and so does a refusal."""

    def job():
        yield
        return b"a=1\nrow"

    def refuses():
        yield
        raise Refused("no")

    head, row = outcome(measured(job())).split("\n")
    assert head.startswith("a=1\theld_ns=")
    assert int(head.rpartition("=")[2]) > 0
    assert row == "row"
    with pytest.raises(Refused, match="no"):
        outcome(measured(refuses()))
