"""How workers end: noticed at once, and told apart as far as the kernel tells."""
