"""A callback that reads a mapped file of which nothing is in memory any more."""

import itertools
import mmap
import os
import tempfile
import time

from scenery import play

SIZE = 256 << 20
descriptor, path = tempfile.mkstemp(dir=os.environ.get("SCENARIO_FOLDER"))
os.unlink(path)
for _ in range(SIZE >> 20):
    os.write(descriptor, os.urandom(1 << 20))
os.fsync(descriptor)
mapped = mmap.mmap(descriptor, SIZE, mmap.MAP_SHARED, mmap.PROT_READ)
mapped.madvise(mmap.MADV_RANDOM)
steps = itertools.count()


def look_up_prices(seconds):
    mapped.madvise(mmap.MADV_DONTNEED)
    os.posix_fadvise(descriptor, 0, SIZE, os.POSIX_FADV_DONTNEED)
    began = time.monotonic()
    total = 0
    for step in steps:
        if time.monotonic() > began + seconds:
            break
        total += mapped[step * 4096 * 7919 % SIZE]
        if step % 60000 == 0:
            os.posix_fadvise(descriptor, 0, SIZE, os.POSIX_FADV_DONTNEED)
    return began, time.monotonic()


play(look_up_prices, "page_faults", "look_up_prices")
