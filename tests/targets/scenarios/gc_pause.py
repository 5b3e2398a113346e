"""A full collection over a big heap, which any allocation may start."""

import gc
import time

from scenery import play

heap = [[number] for number in range(2_000_000)]
heap.append(heap)


def collect(_seconds):
    began = time.monotonic()
    gc.collect()
    return began, time.monotonic()


play(collect, "gc_pause", None)
