"""What several tests need to drive real processes."""
