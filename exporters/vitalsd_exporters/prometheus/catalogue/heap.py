"""Metrics of memory as the runtime sees it: collections, the heap, malloc."""

from __future__ import annotations

from vitalsd_exporters.prometheus.catalogue.descriptor import WORKER, Descriptor

__all__ = ["HEAP"]

HEAP = (
    Descriptor(
        "vitals_gc_pause_seconds",
        "histogram",
        "Pauses for garbage collection, by generation of Python's and kind of Node's, from the probe.",
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
    Descriptor(
        "vitals_heap_limit_bytes",
        "gauge",
        "What may live in the heap before V8 ends the process, from the probe of Node.",
        WORKER,
    ),
    Descriptor(
        "vitals_heap_space_used_bytes",
        "gauge",
        "Heap in use by space of V8's heap, from the probe of Node.",
        (*WORKER, "space"),
    ),
    Descriptor(
        "vitals_external_memory_bytes",
        "gauge",
        "Memory outside of V8's heap that it holds, such as buffers, from the probe of Node.",
        WORKER,
    ),
    Descriptor(
        "vitals_active_resources",
        "gauge",
        "What keeps a Node process going, by type, the six most frequent, from the probe.",
        (*WORKER, "type"),
    ),
    Descriptor(
        "vitals_listener_warnings_total",
        "counter",
        "Times Node has warned of an emitter with very many listeners, from the probe.",
        WORKER,
    ),
)
