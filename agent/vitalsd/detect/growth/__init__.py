"""Growth: what tells a leak from everything else that makes a process larger."""
