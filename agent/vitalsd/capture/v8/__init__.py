"""What V8 writes of a heap, read by programs of our own: sampled allocations and snapshots."""
