"""Recycles one leaking or hung worker, where that is wanted: decided here, done carefully, told in full."""
