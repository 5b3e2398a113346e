"""The service of `vitalsd demo` with its faults, and what starts it, reads the agent beside it and tells of it."""
