"""The ways to make a capture, one file each."""
