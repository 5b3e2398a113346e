"""
Write the rules of Prometheus, with the thresholds of a file where one is given.

In a clone, `scripts/prometheus-rules` writes what is committed: the files below `deploy` and the tables of
docs/alerts.md. With `--output` any folder gets the files alone, which is what an own set of thresholds is for.
"""

from __future__ import annotations

import argparse
import re
import sys
from pathlib import Path

from vitalsd.errors import VitalsdError
from vitalsd_exporters.rules.render import FILES, tables
from vitalsd_exporters.rules.thresholds import Thresholds, read_thresholds

__all__ = ["main", "with_tables"]


def with_tables(page: str, made: dict[str, str]) -> str:
    """The page with each table between its two marks renewed; the rest of it is a person's."""
    for name, table in made.items():
        marks = f"<!-- {name} -->", f"<!-- end of {name} -->"
        between = re.compile(f"{re.escape(marks[0])}.*?{re.escape(marks[1])}", re.DOTALL)
        if not between.search(page):
            raise VitalsdError(
                f"the page has no place for the table `{name}`: put {' '.join(marks)} where it belongs"
            )
        text = f"{marks[0]}\n{table}\n{marks[1]}"
        page = between.sub(text.replace("\\", r"\\"), page)
    return page


def main(arguments: list[str] | None = None) -> int:
    """Write them."""
    parser = argparse.ArgumentParser(
        prog="python -m vitalsd_exporters.rules", description=(__doc__ or "").split("\n\n")[0]
    )
    parser.add_argument("--thresholds", type=Path, metavar="FILE", help="YAML: the keys that shall differ")
    parser.add_argument("--output", type=Path, metavar="DIR", required=True, help="the folder to write to")
    parser.add_argument("--page", type=Path, metavar="FILE", help="a page in Markdown whose tables are renewed")
    asked = parser.parse_args(arguments)
    try:
        thresholds = Thresholds() if asked.thresholds is None else read_thresholds(asked.thresholds)
        for name, render in FILES.items():
            path = asked.output / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(render(thresholds), encoding="utf-8")
        if asked.page is not None:
            page = with_tables(asked.page.read_text(encoding="utf-8"), tables(thresholds))
            asked.page.write_text(page, encoding="utf-8")
    except OSError as error:
        sys.stderr.write(f"vitalsd rules: {error.filename} cannot be written: {error.strerror}\n")
        return 2
    except VitalsdError as error:
        sys.stderr.write(f"vitalsd rules: {error}\n")
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())
