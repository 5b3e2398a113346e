"""Reads segments, and trusts nothing that is in them."""
