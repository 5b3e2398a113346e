"""
Write the dashboards of Grafana.

In a clone, `scripts/grafana-dashboards` writes what is committed, below `deploy/grafana` and, as ConfigMaps, in
`deploy/kubernetes/dashboards.yaml`. With `--output` any
folder gets them, and `--runbooks` says what links to runbooks begin with: where your people read this repository.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from vitalsd_exporters.dashboards.render import CONFIG_MAPS, FILES, config_maps, dashboard_json

__all__ = ["main"]


def main(arguments: list[str] | None = None) -> int:
    """Write them."""
    parser = argparse.ArgumentParser(
        prog="python -m vitalsd_exporters.dashboards", description=(__doc__ or "").split("\n\n")[0]
    )
    parser.add_argument("--output", type=Path, metavar="DIR", required=True, help="the folder to write to")
    parser.add_argument(
        "--runbooks", default="", metavar="URL", help="where this repository is read; can be changed in Grafana"
    )
    asked = parser.parse_args(arguments)
    try:
        texts = {name: dashboard_json(dashboard, asked.runbooks) for name, dashboard in FILES.items()}
        for name, text in (texts | {CONFIG_MAPS: config_maps(asked.runbooks)}).items():
            path = asked.output / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
    except OSError as error:
        sys.stderr.write(f"vitalsd dashboards: {error.filename} cannot be written: {error.strerror}\n")
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
