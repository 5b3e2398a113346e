"""Metrics of memory as the runtime sees it: collections, the heap, malloc."""

from __future__ import annotations

from vitalsd_exporters.prometheus.catalogue.descriptor import WORKER, Descriptor

__all__ = ["HEAP"]

HEAP = (
    Descriptor(
        "vitals_gc_pause_seconds",
        "histogram",
        "Pauses for garbage collection, youngest generation 0, from the probe.",
        (*WORKER, "generation"),
    ),
    Descriptor("vitals_heap_used_bytes", "gauge", "Heap in use now, from the probe.", WORKER),
    Descriptor(
        "vitals_heap_live_bytes",
        "gauge",
        "Heap in use after the last full collection, from the probe.",
        WORKER,
    ),
    Descriptor("vitals_heap_blocks", "gauge", "Allocated blocks of the runtime's heap, from the probe.", WORKER),
    Descriptor(
        "vitals_malloc_used_bytes", "gauge", "Memory malloc has handed out, mallinfo2 by the probe.", WORKER
    ),
    Descriptor(
        "vitals_malloc_held_bytes",
        "gauge",
        "Memory malloc holds from the kernel, in use or not, mallinfo2 by the probe.",
        WORKER,
    ),
)
