"""
What people ask before they let an agent near their services, each answered by one module, side by side with peers.

`python -m bench questions` answers all in some twenty minutes and writes docs/benchmarks.md; with names, it prints
only those. The longer benches, from which the documentation quotes single figures, are in the folder above.
"""

from __future__ import annotations

NAMES = ("probe_python", "probe_node", "agent", "truth", "stalls", "leaks", "scrape", "fleet", "start")
"""In the order of the page."""
