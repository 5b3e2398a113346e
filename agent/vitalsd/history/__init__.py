"""What was, kept longer than the process that saw it."""
