"""Objects counted in copies of memory: what is one and what only looks like one, and which parts are looked at."""

import gc
import os
import struct
import sys
import weakref
from pathlib import Path

import pytest

from vitalsd.probe.python import census as module
from vitalsd.probe.python import memory as memory_module
from vitalsd.probe.python.census import IMMORTAL, PART, Count, all_types, census, chosen_parts, wide_enough
from vitalsd.probe.python.memory import PAGE, Memory, private_ranges
from vitalsd.probe.python.protocol import MOST_STRIDE, Refused

ADDRESS = 0x7F12_3456_7890


class Held:
    """What is counted here."""


class Meta(type):
    """A metaclass that minds being asked."""

    def __getattribute__(cls, name):
        raise AssertionError(name)


class Shy(metaclass=Meta):
    """A class that answers nothing by itself."""


@pytest.fixture
def count():
    """A count that knows these types."""
    made = Count()
    for kind in (Held, tuple, bytes, str, int, list):
        made.know(kind)
    return made


def seen(count, *words):
    """What is counted in these words."""
    count.count(struct.pack(f"<{len(words)}Q", *words))
    names = {id(kind): kind for kind in (Held, tuple, bytes, str, int, list)}
    return {names[key]: number for key, number in count.objects.items() if number}


OBJECTS = {
    "alive": ((3, id(Held)), 1),
    "dead": ((0, id(Held)), 0),
    "given back, and its first word a link": ((ADDRESS, id(Held)), 0),
    "of a type that is not known": ((3, ADDRESS), 0),
    "two": ((1, id(Held), 2, id(Held)), 2),
    "a list of types": ((id(Held), id(Held), id(Held), id(Held)), 0),
    "not where objects begin": ((9, 3, id(Held), 9), 0),
}


@pytest.mark.parametrize("name", OBJECTS)
def test_what_is_an_object(count, name):
    """References, few enough to be no address, and then the address of a type."""
    words, expected = OBJECTS[name]
    assert seen(count, *words).get(Held, 0) == expected


@pytest.mark.parametrize("references", [0xFFFFFFFF, IMMORTAL, IMMORTAL | 5 << 48])
@pytest.mark.parametrize("never", [True, False])
def test_immortal(count, monkeypatch, references, never):
    """What never dies is counted where there is such a thing, with flags or without."""
    monkeypatch.setattr(module, "NEVER_DIE", never)
    assert seen(count, references, id(Held)) == ({Held: 1} if never else {})


def test_a_tuple_that_begins_with_a_type(count):
    """How many items a tuple has, and its first one, are no object; what follows may be."""
    assert seen(count, 1, id(tuple), 2, id(Held), ADDRESS, 0, 1, id(Held)) == {tuple: 1, Held: 1}


@pytest.mark.parametrize("kind", [str, bytes])
@pytest.mark.parametrize("length", range(1, 24))
def test_the_end_of_a_text(count, kind, length):
    """Letters look like a count, and behind them may be the type of who was there before; what follows is one."""
    text_at = module.TEXT_AT[id(kind)]
    header = struct.pack("<5Q", 1, id(kind), length, 0, module.COMPACT)
    text = header[:text_at].ljust(text_at, b"\0") + b"x" * length
    words = struct.unpack(f"<{len(text) // 8 + 1}Q", text.ljust((len(text) // 8 + 1) * 8, b"\0"))
    stale = (id(Held),) if len(words) % 2 else ()
    assert seen(count, *words, *stale, 1, id(Held)) == {kind: 1, Held: 1}


def test_a_string_whose_text_is_elsewhere(count, monkeypatch):
    """Old ones have none inside: what follows them is as alive as anything."""
    monkeypatch.setattr(module, "OLD_STRINGS", True)
    data = struct.pack("<4Q", 1, id(str), 400, 0) + struct.pack("<2Q", 0, 0) + struct.pack("<2Q", 1, id(Held)) * 3
    count.count(data)
    assert count.objects[id(Held)] == 3


def test_a_text_without_an_end(count):
    """What only looks like one hides no more than a short one would."""
    data = struct.pack("<4Q", 1, id(str), module.SHORT_TEXT, 0) + struct.pack("<2Q", 1, id(Held)) * 3
    count.count(data)
    assert count.objects[id(Held)] == 3


def test_bytes_of_their_own(count):
    """Items count where there are some: a string's characters, a tuple's references, not a list's."""
    seen(count, 1, id(tuple), 4, 0, 1, id(bytes), 1000, 0, 1, id(list), 7, 0, 1, id(int), 1, 5, 1, id(str), 30, 0)
    rows = {kind: count.row(kind)[:2] for kind in (tuple, bytes, list, int, str)}
    assert rows[tuple] == (1, sys.getsizeof((1, 2, 3, 4)) + 16 - 16 * (sys.getsizeof(()) != tuple.__basicsize__))
    assert rows[bytes] == (1, sys.getsizeof(bytes(1000)))
    assert rows[list] == (1, list.__basicsize__ + 16)
    assert rows[int] == (1, int.__basicsize__)
    assert rows[str][1] > 30


def test_a_damaged_number_of_items(count):
    """What cannot be a number of items adds nothing."""
    seen(count, 1, id(tuple), 1 << 63, 0, 1, id(tuple))
    assert count.items_bytes[id(tuple)] == 0


@pytest.mark.parametrize("cut", range(0, 40, 8))
def test_a_piece_that_ends_anywhere(count, cut):
    """Memory that ends in the middle of an object is counted up to there."""
    data = struct.pack("<6Q", 1, id(Held), 1, id(tuple), 3, ADDRESS)[: 48 - cut]
    count.count(data)
    assert count.objects[id(Held)] == (len(data) >= 16)
    assert count.objects[id(tuple)] == (len(data) >= 32)


def test_names_are_the_types_own():
    """Module and name as the class was written; no code of a metaclass runs for it."""
    assert module.type_name(dict) == "dict"
    assert module.type_name(Held) == f"{__name__}.Held"
    assert module.type_name(Shy) == f"{__name__}.Shy"
    assert any(kind is Shy for kind in all_types())


def test_every_type_once():
    """All types, and turns for others between them."""
    told = list(all_types())
    kinds = [kind for kind in told if kind is not None]
    assert len({id(kind) for kind in kinds}) == len(kinds)
    assert {id(kind) for kind in (object, type, Held, Meta, KeyError)} <= {id(kind) for kind in kinds}
    assert told.count(None) == pytest.approx(len(kinds) / module.TYPES_AT_ONCE, abs=1)


@pytest.mark.parametrize("stride", [1, 2, 8, 64])
def test_the_same_parts_again(stride):
    """Of each `stride` parts one, whatever range is asked for: what stays the same is seen the same."""
    start, end = ADDRESS // PAGE * PAGE, (ADDRESS // PAGE + 4096) * PAGE
    whole = list(chosen_parts(start, end, stride))
    middle = (start + 1000 * PAGE) // (PART * stride) * PART * stride
    assert whole == sorted({*chosen_parts(start, middle, stride), *chosen_parts(middle, end, stride)})
    assert len(whole) == pytest.approx(4096 * PAGE / PART / stride, abs=2)
    assert {part // (PART * stride) for part in whole} >= set(
        range(start // (PART * stride) + 1, end // (PART * stride) - 1)
    )


def test_parts_are_chosen_evenly():
    """No place within the blocks is preferred: objects lie in a pattern too."""
    stride = 16
    places = [part // PART % stride for part in chosen_parts(ADDRESS, ADDRESS + 4096 * stride * PART, stride)]
    assert all(200 < places.count(place) < 320 for place in range(stride))


@pytest.mark.parametrize(
    ("stride", "times", "expected"), [(1, 0.3, 1), (1, 1.2, 2), (4, 1.2, 4), (1, 9.0, 16), (0, 1e9, MOST_STRIDE)]
)
def test_as_wide_as_need_be(stride, times, expected):
    """A power of two, no less than another census had, and within the budget."""
    assert wide_enough(stride, times) == expected


def test_in_this_process():
    """A real census, in steps, sees what lives here and nothing of what has died."""
    kept = [Held() for _ in range(50_000)]
    gone = [Shy() for _ in range(10_000)]
    shy = [Meta(f"Shy{number}", (), {}) for number in range(1_000)]  # a census of a part may not see a single one
    del gone
    steps, text = run(census(1, 1 << 28))
    head = dict(pair.split("=") for pair in text.split("\n")[0].split("\t"))
    rows = {name: int(number) for number, _, name in (line.split("\t") for line in text.split("\n")[1:])}
    stride = int(head["stride"])
    assert rows[f"{__name__}.Held"] * stride == pytest.approx(len(kept), rel=0.001 if stride == 1 else 0.2)
    assert rows.get(f"{__name__}.Shy", 0) < 10
    assert rows[f"{__name__}.Meta"] * stride > 0.5 * len(shy)
    metaclasses = head["metaclasses"].split(";")
    assert {"type", "abc.ABCMeta", f"{__name__}.Meta"} <= set(
        metaclasses
    ) and f"{__name__}.Held" not in metaclasses
    assert int(head["looked_at_bytes"]) * stride == pytest.approx(int(head["present_bytes"]), rel=0.1)
    assert int(head["looked_at_bytes"]) < 2 * module.PARTS_AT_ONCE * PART * steps


def run(job):
    """Steps, and the text in the end."""
    steps = 0
    while True:
        try:
            next(job)
        except StopIteration as over:
            return steps, over.value.decode()
        steps += 1


def test_nothing_is_held():
    """What dies between two steps dies at once, by whoever let go of it."""
    one = Held()
    died = []
    reference = weakref.ref(one, lambda _: died.append(True))
    job = census(1, 1 << 28)
    for _ in range(20):
        next(job)
    del one
    assert (died, reference()) == ([True], None)
    job.close()


def test_files_are_closed(monkeypatch):
    """At the end, when it is given up, and when it cannot begin."""
    opened = []
    monkeypatch.setattr(module, "Memory", lambda: opened.append(Memory()) or opened[-1])
    run(census(64, 1 << 20))
    half = census(64, 1 << 20)
    next(half)
    assert opened[-1]._files
    half.close()
    monkeypatch.setattr(sys, "byteorder", "big")
    with pytest.raises(Refused, match="do not lie in memory"):
        run(census(64, 1 << 20))
    assert [memory._files for memory in opened] == [[], [], []]


@pytest.fixture
def other_user(monkeypatch):
    """A process that has changed its user: the kernel does not let it open its own memory."""
    opened = os.open

    def refuse(path, *more):
        if path == refused[0]:
            raise PermissionError(13, "Permission denied")
        return opened(path, *more)

    refused = ["/proc/self/mem"]
    monkeypatch.setattr(memory_module.os, "open", refuse)
    return refused


@pytest.mark.parametrize("which", ["/proc/self/mem", "/proc/self/pagemap"])
def test_a_process_that_has_changed_its_user(other_user, which):
    """It counts all the same, by way of a pipe, and leaves no descriptor behind."""
    other_user[0] = which
    gc.collect()  # what other tests have left open goes now, and not meanwhile
    before = len(list(Path("/proc/self/fd").iterdir()))
    kept = [Held() for _ in range(50_000)]
    _, text = run(census(1, 1 << 28))
    head = dict(pair.split("=") for pair in text.split("\n")[0].split("\t"))
    rows = {name: int(number) for number, _, name in (line.split("\t") for line in text.split("\n")[1:])}
    assert rows[f"{__name__}.Held"] * int(head["stride"]) == pytest.approx(len(kept), rel=0.2)
    assert len(list(Path("/proc/self/fd").iterdir())) == before


@pytest.mark.parametrize("lacks", ["ctypes", "swap"])
@pytest.mark.usefixtures("other_user")
def test_a_process_that_may_not_read_itself(monkeypatch, lacks):
    """Where the pipe is no way either it says so: nothing is brought back from swap."""
    if lacks == "ctypes":
        monkeypatch.setattr(memory_module, "HAVE_CTYPES", False)
    else:
        monkeypatch.setattr(memory_module, "status_bytes", lambda name: 4096 * (name == b"VmSwap"))
    with pytest.raises(Refused, match="changed its user"):
        run(census(1, 1 << 20))


@pytest.mark.usefixtures("other_user")
def test_memory_that_is_gone_by_a_pipe():
    """It is nothing there too, and what is read is what lies there."""
    memory = Memory()
    try:
        assert memory._pipe >= 0
        assert memory.read(4096, 16384) == b""
        text = b"copied, never touched"
        assert text in memory.read(id(text), 200)
        assert memory.read(id(text), 16384)[:200] == memory.read(id(text), 200)
    finally:
        memory.close()


def test_another_layout(monkeypatch):
    """An interpreter whose objects begin otherwise, such as one without the global lock, is left alone."""
    monkeypatch.setattr(Memory, "read", lambda *_: struct.pack("<QQ", 7, 7))
    with pytest.raises(Refused, match="do not lie in memory"):
        run(census(1, 1 << 20))


def test_memory_that_is_gone():
    """A read of what is not there is nothing, and not the end of the process."""
    memory = Memory()
    try:
        assert memory.read(0, 16384) == b""
        assert memory.read(ADDRESS & ~0xFFF, 16) in (b"", bytes(16))
        text = b"copied, never touched"
        assert text in memory.read(id(text), 200)
        present, swapped = memory.pages(id(text) // PAGE * PAGE, 1)
        assert (present, swapped) == (b"\x01", 0)
    finally:
        memory.close()


def test_where_objects_lie():
    """Private memory of no file, about as much as is resident."""
    memory = Memory()
    extent = memory.extent_bytes()
    memory.close()
    ranges = list(private_ranges())
    one = bytearray(1)
    assert any(start <= id(one) < end for start, end in ranges)
    assert all(start < end and start % PAGE == end % PAGE == 0 for start, end in ranges)
    assert sum(end - start for start, end in ranges) >= extent * 0.9 > 1 << 20
