"""The pictures of docs/pictures: each shows the dashboard as it is now, and is small enough for a README."""

from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree as ET

import pytest
from support.dashboards import FILES, load, panels

OF_THE_TERMINAL = "vitalsd-top"
"""Drawn by tests/golden/test_top.py."""
OF_THE_PAGE = ("page-fleet", "page-incident", "page-profile")
"""Drawn by `scripts/page-pictures`."""
PICTURES = Path(__file__).parents[2] / "docs" / "pictures"
MOST_BYTES = 200_000


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_a_picture_has_every_panel_of_its_dashboard(path: Path) -> None:
    """Otherwise: `scripts/dashboard-pictures`."""
    picture = PICTURES / f"{path.stem}.svg"
    board = load(path)
    said = {element.text for element in ET.parse(picture).iter() if element.tag.endswith("text")}
    assert {board["title"], *(panel["title"] for panel in panels(board))} <= said
    assert picture.stat().st_size < MOST_BYTES


def test_no_picture_is_of_something_else() -> None:
    """What is there is shown somewhere, and is small."""
    assert {picture.stem for picture in PICTURES.iterdir()} == {
        OF_THE_TERMINAL,
        *OF_THE_PAGE,
        *(path.stem for path in FILES),
    }
    page = (PICTURES.parent / "page.md").read_text() + (PICTURES.parents[1] / "README.md").read_text()
    for name in OF_THE_PAGE:
        assert f"pictures/{name}.png" in page
        assert (PICTURES / f"{name}.png").stat().st_size < MOST_BYTES
