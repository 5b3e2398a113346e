"""What the agent and a program that makes files for it leave each other in a capture's folder."""

from __future__ import annotations

__all__ = ["DIGEST", "REQUEST"]

REQUEST, DIGEST = "request.json", "digest.json"
