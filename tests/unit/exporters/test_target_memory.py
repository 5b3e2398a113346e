"""What the workers of a target have of memory together, and of whom that is not known."""

from msgspec.structs import replace
from support.views import GONE, SHOP, WATCHED

from vitalsd_exporters.web.targets import NOT_READ_YET, target_memory


def of(*workers):
    """A target of these."""
    return target_memory(replace(SHOP, workers=workers))


def worker(slot, proportional, unique, **more):
    """A worker that is up, with so many bytes of PSS and USS."""
    memory = replace(WATCHED.memory, proportional_bytes=proportional, unique_bytes=unique)
    return replace(WATCHED, slot=slot, memory=memory, **more)


def test_sum():
    """Over the workers that are up."""
    told = of(worker("0", 300, 200), worker("1", 500, 400), GONE)
    assert (told.proportional_bytes, told.unique_bytes, told.workers_known, told.missing) == (800, 600, 2, {})


def test_resident_memory_never_stands_in():
    """Where PSS is not known there is no sum, though resident memory is known of all."""
    reason = "PSS is not read of a process whose resident memory is above 1GiB (memory.smaps_max_size)"
    told = of(worker("0", None, None), worker("1", None, None, missing={"memory.proportional_bytes": reason}))
    assert (told.proportional_bytes, told.unique_bytes, told.workers_known) == (None, None, 0)
    assert told.missing == {"0": NOT_READ_YET, "1": reason}


def test_some_are_known():
    """The sum says of how many it is, and who is missing."""
    told = of(worker("0", 300, 200), worker("1", None, None), worker("2", 100, None))
    assert (told.proportional_bytes, told.unique_bytes, told.workers_known) == (400, None, 2)
    assert told.missing == {"1": NOT_READ_YET}
