"""
The viewer of profiles in a real browser: what it draws, what mouse and keyboard do, what it says, to whom.

The page around it is a few lines of this file, under the policy of the agent's page.
"""

from __future__ import annotations

import contextlib
import json
from typing import TYPE_CHECKING, Any

import pytest
from support.accessible import barriers, needs_axe
from support.browser import Visit, browser, visit
from support.modules import ASSETS
from support.pieces import serving
from support.profiles import HOSTILE, sampled, shop

if TYPE_CHECKING:
    from collections.abc import Iterator

    from playwright.sync_api import Browser, Locator

PAGE = """<!doctype html><html lang="en"><head><meta charset="utf-8"><title>A profile</title>
<meta name="viewport" content="width=device-width, initial-scale=1"><link rel="icon" href="/page/icon.svg">
<link rel="stylesheet" href="/page/style.css"><link rel="stylesheet" href="/page/flame.css">
<script type="module" src="/open.js"></script></head>
<body><main><h1>A profile</h1><div id="place"></div></main></body></html>"""
OPEN = """
import { openFlame } from '/page/flame/open.js';
const text = await (await fetch('/file')).text();
const place = document.getElementById('place');
const end = openFlame(place, { name: 'profile.json', mediaType: 'application/json', text });
place.dataset.isOpen = 'yes';
addEventListener('end-it', () => { end(); place.dataset.isOpen = 'no'; });
"""
ROW, AXIS = 19, 22
SEEN = """() => {
  const { left, right, top, drawn } = document.querySelector('.flame-canvas').dataset;
  return { left: +left, right: +right, top: +top, drawn: +drawn };
}"""
FRAMES = "() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))"
PIXEL = """([x, y]) => {
  const [canvas, one] = [document.querySelector('.flame-canvas'), document.createElement('canvas')];
  one.width = one.height = 1;
  one.getContext('2d').drawImage(canvas, -Math.round(x * devicePixelRatio), -Math.round(y * devicePixelRatio));
  return [...one.getContext('2d').getImageData(0, 0, 1, 1).data];
}"""


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    """One browser."""
    with browser() as started:
        yield started


@pytest.fixture(scope="module")
def pieces() -> dict[str, Any]:
    """What is served; each test puts its file there."""
    return {"/index.html": PAGE, "/open.js": OPEN, "/page": ASSETS}


@pytest.fixture(scope="module")
def origin(pieces: dict[str, Any]) -> Iterator[str]:
    """Of the page."""
    with serving(pieces) as served:
        yield served


class Viewer:
    """The viewer before somebody."""

    def __init__(self, visitor: Visit) -> None:
        self.page = visitor.page
        self._visitor = visitor
        visitor.open()
        visitor.wait("document.querySelector('#place[data-is-open=yes]') !== null")
        self.canvas = self.page.locator(".flame-canvas")
        self.told = self.page.locator(".flame-told")

    def drawn(self) -> dict[str, float]:
        """The window, and how many boxes are in it, once it has come to rest."""
        self._visitor.wait("document.querySelector('.flame-canvas').dataset.drawn !== undefined")
        before: dict[str, float] = {}
        while (now := self.page.evaluate(SEEN)) != before:
            before = now
            self.page.evaluate(
                "() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))"
            )
        return before

    def at(self, share: float, row: int) -> dict[str, float]:
        """A point of the canvas: so far to the right, in this row."""
        box = self.canvas.bounding_box()
        assert box is not None
        return {"x": box["width"] * share, "y": AXIS + ROW * (row + 0.5)}

    def click(self, share: float, row: int) -> None:
        """On a box."""
        self.canvas.click(position=self.at(share, row))

    def pixel(self, share: float, row: int) -> list[int]:
        """The colour there, near the lower edge of the row, where no text is."""
        point = self.at(share, row)
        return list(self.page.evaluate(PIXEL, [point["x"], point["y"] + ROW / 2 - 3]))

    def rows(self) -> Locator:
        """Of the table."""
        return self.page.get_by_role("table", name="Functions").locator("tr[data-key]")

    def button(self, name: str) -> Locator:
        """By what it says."""
        return self.page.get_by_role("button", name=name, exact=True)

    @property
    def search(self) -> Locator:
        """Where somebody writes what they look for."""
        return self.page.get_by_label("Search functions and files")


@pytest.fixture
def opened(chromium: Browser, origin: str, pieces: dict[str, Any]) -> Iterator[Any]:
    """Return a function that opens a document, as somebody with these habits."""
    with contextlib.ExitStack() as visits:

        def open_it(document: Any, **ways: Any) -> Viewer:
            pieces["/file"] = document if isinstance(document, str) else json.dumps(document)
            return Viewer(visits.enter_context(visit(chromium, origin, **{"reduced_motion": "reduce", **ways})))

        yield open_it


def test_it_draws(opened: Any) -> None:
    """Boxes have the colours of whose code they are, and are as wide as what they took; elsewhere is nothing."""
    viewer = opened(shop())
    assert viewer.drawn() == {"left": 0, "right": 10, "top": 0, "drawn": 6}
    paper = viewer.pixel(0.95, 5)
    loop, framework, own, standard = (viewer.pixel(0.3, row) for row in range(4))
    assert len({tuple(each) for each in (paper, loop, framework, own, standard)}) == 5
    assert viewer.pixel(0.85, 3) not in (paper, standard)
    assert viewer.pixel(0.95, 3) == paper
    assert [each.inner_text().split()[0] for each in viewer.rows().all()][:2] == ["dumps", "price_of"]


def test_the_pictures_of_a_screen(opened: Any) -> None:
    """A screen with two pixels for each of the page has them all."""
    viewer = opened(shop(), device_scale_factor=2)
    viewer.drawn()
    wide, shown = viewer.canvas.evaluate("(canvas) => [canvas.width, canvas.clientWidth]")
    assert wide == 2 * shown


def test_the_mouse(opened: Any) -> None:
    """The pointer is told what it is at; a click goes there, the wheel zooms where it is, dragging moves."""
    viewer = opened(shop())
    viewer.drawn()
    viewer.canvas.hover(position=viewer.at(0.3, 3))
    hint = viewer.page.locator(".flame-hint")
    assert "dumps" in hint.inner_text()
    assert "Here 5 s (50 %), of which itself 5 s (50 %)" in hint.inner_text().replace("\u00a0", " ")
    viewer.click(0.3, 3)
    assert viewer.drawn() | {"drawn": 0} == {"left": 0, "right": 5, "top": 0, "drawn": 0}
    assert viewer.told.inner_text().startswith("dumps, json/__init__.py:238: 5")
    viewer.click(0.3, 0)
    assert viewer.drawn()["right"] == 10
    viewer.canvas.hover(position=viewer.at(0.25, 1))
    viewer.page.mouse.wheel(0, -400)
    near = viewer.drawn()
    assert near["left"] == pytest.approx(2.5 - (near["right"] - near["left"]) / 4, abs=0.02)
    assert near["right"] - near["left"] < 6
    box = viewer.canvas.bounding_box()
    viewer.page.mouse.move(box["x"] + 300, box["y"] + 60)
    viewer.page.mouse.down()
    viewer.page.mouse.move(box["x"] + 200, box["y"] + 60, steps=3)
    viewer.page.mouse.up()
    moved = viewer.drawn()
    along = 100 / box["width"] * (near["right"] - near["left"])
    assert moved["left"] == pytest.approx(near["left"] + along, abs=0.02)
    assert viewer.told.inner_text().startswith("run"), "a drag selects nothing"


def test_the_wheel_is_the_pages_where_there_is_nothing_further(opened: Any) -> None:
    """Who scrolls down over a graph that is shown whole scrolls the page."""
    viewer = opened(shop(), viewport={"width": 700, "height": 400})
    viewer.drawn()
    viewer.canvas.hover(position=viewer.at(0.5, 1))
    viewer.page.mouse.wheel(0, 100)
    viewer._visitor.wait("document.querySelector('main').scrollTop > 0")
    assert viewer.drawn()["right"] == 10


def test_the_keyboard(opened: Any) -> None:
    """Arrows go from box to box and say which, Enter goes there, + - 0 zoom, Shift moves, Escape ends it."""
    viewer = opened(shop())
    viewer.canvas.focus()
    keys = viewer.page.keyboard
    said = []
    for key in (
        "ArrowDown",
        "ArrowDown",
        "ArrowDown",
        "ArrowDown",
        "ArrowRight",
        "ArrowRight",
        "ArrowLeft",
        "ArrowUp",
    ):
        keys.press(key)
        said.append(viewer.told.inner_text().split(",")[0])
    assert said == ["run", "app", "get_order", "dumps", "price_of", "execute", "price_of", "get_order"]
    keys.press("ArrowDown")
    keys.press("Enter")
    assert viewer.drawn()["right"] == 5
    keys.press("+")
    assert viewer.drawn()["right"] - viewer.drawn()["left"] == pytest.approx(5 / 1.5)
    keys.press("Shift+ArrowRight")
    moved = viewer.drawn()
    keys.press("-")
    assert viewer.drawn()["right"] - viewer.drawn()["left"] == pytest.approx(5)
    assert moved["left"] > 5 / 6
    keys.press("0")
    assert viewer.drawn()["right"] == 10
    keys.press("Shift+Enter")
    assert viewer.button("Callers").get_attribute("aria-pressed") == "true"
    assert viewer.drawn()["right"] == 5
    keys.press("Escape")
    assert "Everywhere: dumps" in viewer.told.inner_text()


def test_searching(opened: Any) -> None:
    """What matches stands out, in the table nothing else is left, and how much of the time it took is said."""
    viewer = opened(shop())
    viewer.drawn()
    before = viewer.pixel(0.3, 3)
    viewer.canvas.press("/")
    viewer.page.keyboard.type("shop/")
    found = viewer.page.get_by_text("2 functions")
    assert "(90" in found.inner_text()
    viewer.drawn()
    match, other = viewer.pixel(0.3, 2), viewer.pixel(0.3, 3)
    assert viewer.pixel(0.6, 3) == match
    assert len({tuple(each) for each in (match, other, before)}) == 3
    assert viewer.rows().count() == 2
    viewer.page.keyboard.press("Enter")
    assert viewer.told.inner_text().startswith("get_order")
    viewer.search.fill("session.py")
    viewer.canvas.press("n")
    assert viewer.told.inner_text().startswith("execute")
    viewer.search.fill("nobody has this")
    assert viewer.page.get_by_text("No match").is_visible()
    assert viewer.page.get_by_text("Nothing has this in its name.").is_visible()
    viewer.search.press("Escape")
    viewer.drawn()
    assert viewer.pixel(0.3, 3) == before


def test_from_match_to_match(opened: Any) -> None:
    """n goes to the widest match first and begins anew after the last one, N goes back; the window goes along."""
    viewer = opened(sampled([(("run", "find_one"), 2), (("run", "find_two"), 50), (("run", "other"), 900)]))
    viewer.search.fill("find")
    viewer.canvas.press("+")
    said = []
    for key in ("n", "n", "n", "N", "N"):
        viewer.canvas.press(key)
        said.append(viewer.told.inner_text().split(",")[0])
    assert said == ["find_two", "find_one", "find_two", "find_one", "find_two"]
    assert viewer.page.get_by_text("1 of 2: 2 functions").is_visible()
    seen = viewer.drawn()
    assert seen["left"] <= 900
    assert seen["right"] >= 950


def test_the_table(opened: Any) -> None:
    """Functions by what they took themselves, or as a click on a head says; a row goes to its function's box."""
    viewer = opened(shop())
    assert viewer.rows().first.inner_text().startswith("dumps")
    viewer.button("With calls").click()
    assert viewer.rows().first.inner_text().startswith("run")
    assert viewer.page.get_by_role("columnheader", name="With calls").get_attribute("aria-sort") == "descending"
    viewer.page.get_by_text("price_of").click()
    assert viewer.told.inner_text().startswith("price_of, shop/pricing.py:12: 3")
    seen = viewer.drawn()
    assert (seen["left"], seen["right"]) == (5, 8)
    viewer.rows().first.focus()
    viewer.page.keyboard.press("ArrowDown")
    viewer.page.keyboard.press("Enter")
    assert viewer.drawn()["right"] in (9, 10)


def test_other_layouts(opened: Any) -> None:
    """In time what comes back is another box; around a function are callers and calls; own code has no others'."""
    viewer = opened(shop())
    viewer.drawn()
    viewer.button("In time").click()
    assert viewer.drawn()["drawn"] == 7
    viewer.button("Callers").click()
    assert "price_of" in viewer.told.inner_text()
    assert viewer.drawn()["right"] == 3
    viewer.page.get_by_text("dumps").click()
    assert viewer.drawn()["right"] == 5
    viewer.button("Heaviest first").click()
    viewer.button("Own code only").click()
    assert viewer.drawn()["drawn"] == 2
    assert {each.inner_text().split()[0] for each in viewer.rows().all()} == {"get_order", "price_of"}


def test_a_file_without_times_has_no_layout_in_time(opened: Any) -> None:
    """The agent's own files are counted stacks: that is said, and the way is closed."""
    viewer = opened(shop() | {"exporter": "vitalsd 0.1.0"})
    assert viewer.button("In time").is_disabled()
    assert viewer.page.get_by_text("does not tell when its samples were taken").is_visible()


def test_several_threads(opened: Any) -> None:
    """The heaviest is shown, and another is a choice away."""
    document = shop()
    document["profiles"].insert(
        0, {**document["profiles"][0], "name": "idle one", "samples": [[0]], "weights": [0.5]}
    )
    viewer = opened(document)
    assert viewer.drawn()["right"] == 10
    choice = viewer.page.get_by_label("Profile", exact=True)
    choice.select_option(index=0)
    assert viewer.drawn()["right"] == 0.5
    assert "idle one" in choice.inner_text()


def test_names_are_text(opened: Any) -> None:
    """Whatever a service calls its functions is shown and does nothing: in graph, hint, table and line."""
    viewer = opened(sampled([(("run", name), float(20 - at)) for at, name in enumerate(HOSTILE)], name=HOSTILE[0]))
    viewer.drawn()
    table = viewer.page.get_by_role("table", name="Functions")
    for name in HOSTILE[:2]:
        assert table.get_by_text(name).is_visible()
    shown = table.inner_text()
    assert "\\u{202e}txet desrever" in shown
    assert "two\\u{a}lines" in shown
    assert "\\u{1b}[31mred" in shown
    assert not any(sign in shown for sign in ("\u202e", "\x1b"))
    assert max(map(len, shown.split("\n"))) < 300
    for at in range(len(HOSTILE)):
        viewer.canvas.hover(position=viewer.at((at + 0.5) / len(HOSTILE), 1))
        viewer.click((at + 0.5) / len(HOSTILE), 1)
        viewer.page.keyboard.press("0")
        viewer.drawn()
    assert viewer.page.title() == "A profile"
    assert viewer.page.locator("script").count() == 1
    assert viewer.page.locator("img").count() == 0
    box = table.bounding_box()
    assert box is not None
    assert box["width"] < 1280


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "profile.json: This file is empty."),
        ('{"profiles": [', "is broken, or cut"),
        ("<script>document.title = 'taken'</script>", "is broken, or cut"),
        ("{}", "This is no profile"),
    ],
)
def test_what_is_no_profile_is_told(opened: Any, text: str, told: str) -> None:
    """A file that is empty, cut or something else is a sentence, and the page goes on."""
    viewer = opened(text)
    assert told in viewer.page.get_by_role("alert").inner_text()
    assert viewer.page.title() == "A profile"


def test_a_profile_of_nothing_is_told(opened: Any) -> None:
    """Where nothing ran there is no empty graph, but a sentence."""
    viewer = opened(sampled([((), 4.0)]))
    assert viewer.page.get_by_text("Nothing was seen in this profile").is_visible()
    assert not viewer.canvas.is_visible()


def test_it_ends(opened: Any) -> None:
    """When the view is left nothing of it stays."""
    viewer = opened(shop())
    viewer.drawn()
    viewer.page.evaluate("() => dispatchEvent(new Event('end-it'))")
    assert viewer.page.locator("#place").inner_html() == ""


@needs_axe
@pytest.mark.parametrize("color_scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1400, 320])
def test_everybody_can_use_it(opened: Any, color_scheme: str, width: int) -> None:
    """In the light, in the dark, wide and narrow: no barrier that axe knows of, nothing beside the window."""
    viewer = opened(shop(), color_scheme=color_scheme, viewport={"width": width, "height": 800})
    viewer.drawn()
    assert barriers(viewer.page) == []
    viewer.search.fill("shop/")
    viewer.click(0.3, 2)
    viewer.button("Callers and calls").click()
    assert barriers(viewer.page) == []
    assert viewer.page.evaluate("() => document.documentElement.scrollWidth <= innerWidth")
