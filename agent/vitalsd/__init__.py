"""vitalsd: the runtime health of Python and Node.js services, seen from beside them."""

__version__ = "0.1.0"
