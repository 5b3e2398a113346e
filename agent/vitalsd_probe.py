"""`import vitalsd_probe; vitalsd_probe.install()`, for a service that has vitalsd in its own environment."""

from vitalsd.probe.python import install

__all__ = ["install"]
