"""Holds so many MiB of small pages, or so many mappings of one page; maps and unmaps when it is told to."""

from __future__ import annotations

import mmap
import sys
import time

PRIVATE = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS
NO_HUGE_PAGES = 15
PAGE = 4096
SECONDS = 4.0

kind, count = sys.argv[1], int(sys.argv[2])
kept = []
if kind == "mebibytes":
    area = mmap.mmap(-1, count << 20, flags=PRIVATE)
    area.madvise(NO_HUGE_PAGES)
    for place in range(0, len(area), PAGE):
        area[place] = 1
    kept.append(area)
else:
    for number in range(count):
        # Neighbours that may not do the same are not joined.
        area = mmap.mmap(-1, PAGE, flags=PRIVATE, prot=mmap.PROT_READ | (mmap.PROT_WRITE if number % 2 else 0))
        area[0]
        kept.append(area)
print("ready", flush=True)
for _ in sys.stdin:
    took, end = [], time.perf_counter() + SECONDS
    while time.perf_counter() < end:
        began = time.perf_counter()
        mmap.mmap(-1, PAGE, flags=PRIVATE).close()
        took.append(time.perf_counter() - began)
        time.sleep(0.001)
    print(sorted(took)[int(0.99 * len(took))], flush=True)
