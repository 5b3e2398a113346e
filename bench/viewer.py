"""
What the viewer of profiles takes for one of 100,000 samples, 18 frames deep in the median, in Debian's Chromium.

The samples are made up: requests of a web service through its framework, whose ends differ. Opening is from the
text of the file until the picture is on the screen; a frame is a turn of the wheel over the graph, and drawing is
by the processor, since a machine for tests has no graphics card.
"""

from __future__ import annotations

import json
import random
import sys
from collections.abc import Mapping
from pathlib import Path

from bench.figures import Bar, Figure, quantile
from bench.harness import ROOT

__all__ = ["BARS", "SHOWS", "run"]

SHOWS = "how long a profile of 100,000 samples takes to open in the viewer, and how smoothly it is drawn"
BARS = {
    "until the picture is there": Bar(1.0, "s"),
    "until it is laid out in time": Bar(1.0, "s"),
    "until a search is shown": Bar(0.2, "s"),
    "frames, heaviest first": Bar(55.0, "per second", at_least=True),
    "frames, in time": Bar(55.0, "per second", at_least=True),
}
SAMPLES, ROUNDS, FRAMES = 100_000, 5, 90
SITE = "/opt/venv/lib/python3.12/site-packages"
OUTER = [(name, f"{SITE}/starlette/{name}.py") for name in ("run", "app", "handle", "call", "route", "dispatch")]
OWN = [(f"view_{number}", f"/srv/shop/api/view_{number % 7}.py") for number in range(40)]
INNER = [(f"call_{number}", f"{SITE}/library_{number % 9}/part_{number}.py") for number in range(300)]
PAGE = """<!doctype html><html lang="en"><head><meta charset="utf-8"><title>Bench</title>
<link rel="icon" href="/page/icon.svg"><link rel="stylesheet" href="/page/style.css">
<link rel="stylesheet" href="/page/flame.css">
<script type="module" src="/bench.js"></script></head><body><main><div id="place"></div></main></body></html>"""
SCRIPT = """
import { openFlame } from '/page/flame/open.js';
const painted = () => new Promise((done) => requestAnimationFrame(() => setTimeout(done)));
const button = (name) => [...document.querySelectorAll('button')].find((each) => each.textContent === name);
const timed = async (act) => {
  const began = performance.now();
  act();
  await painted();
  return (performance.now() - began) / 1e3;
};
const text = await (await fetch('/profile.json')).text();
const place = document.getElementById('place');
window.bench = {
  end: () => {},
  open: () => timed(() => {
    window.bench.end();
    window.bench.end = openFlame(place, { name: 'profile.json', mediaType: 'application/json', text });
  }),
  press: (name) => timed(() => button(name).click()),
  search: (query) => timed(() => {
    const box = document.querySelector('input[type=search]');
    box.value = query;
    box.dispatchEvent(new Event('input'));
  }),
  frames: async (count) => {
    const canvas = document.querySelector('.flame-canvas');
    const { left, top } = canvas.getBoundingClientRect();
    const took = [];
    for (let turn = 0; turn < count; turn += 1) {
      const deltaY = turn < count / 2 ? -60 : 60;
      const at = { clientX: left + 300 + turn, clientY: top + 100, cancelable: true };
      canvas.dispatchEvent(new WheelEvent('wheel', { ...at, deltaY }));
      const began = performance.now();
      await new Promise(requestAnimationFrame);
      took.push(performance.now() - began);
    }
    return took;
  },
};
"""


def profile(samples: int) -> bytes:
    """A file of speedscope, always the same."""
    chance = random.Random(8)
    frames: dict[tuple[str, str, int], int] = {}
    stacks = []
    stack: list[tuple[str, str, int]] = []
    for _ in range(samples):
        if not stack or chance.random() < 0.15:
            calls = [
                *OUTER,
                *chance.choices(OWN, k=chance.randint(2, 6)),
                *chance.choices(INNER, k=chance.randint(2, 12)),
            ]
            stack = [(*call, chance.randint(1, 4)) for call in calls]
        ends = [(*call, 1) for call in chance.choices(INNER, k=chance.randint(0, 2))]
        stacks.append([frames.setdefault(frame, len(frames)) for frame in (*stack, *ends)])
    told = [{"name": name, "file": file, "line": line} for name, file, line in frames]
    one = {"type": "sampled", "name": "MainThread", "unit": "seconds", "startValue": 0, "endValue": samples / 100}
    one |= {"samples": stacks, "weights": [0.01] * samples}
    return json.dumps({"shared": {"frames": told}, "profiles": [one], "exporter": "bench"}).encode()


def run(quick: bool) -> list[Figure]:
    """All of it, in one browser."""
    sys.path.append(str(ROOT / "tests"))
    from support.browser import browser, visit
    from support.modules import ASSETS
    from support.pieces import serving

    pieces: Mapping[str, str | bytes | Path] = {
        "/index.html": PAGE,
        "/bench.js": SCRIPT,
        "/page": ASSETS,
        "/profile.json": profile(SAMPLES // 100 if quick else SAMPLES),
    }
    with serving(pieces) as origin, browser() as started, visit(started, origin) as visitor:
        page = visitor.open()
        visitor.wait("window.bench !== undefined")
        frames = 10 if quick else FRAMES
        opened = [page.evaluate("bench.open()") for _ in range(2 if quick else ROUNDS)]
        heaviest = page.evaluate("(count) => bench.frames(count)", frames)
        in_time = page.evaluate("bench.press('In time')")
        timed = page.evaluate("(count) => bench.frames(count)", frames)
        searched = page.evaluate("bench.search('call_7')")
    rates = (1000 / quantile(took, 0.5) for took in (heaviest, timed))
    values = (quantile(opened, 0.5), in_time, searched, *rates)
    return [Figure(name, value, bar.unit, bar) for (name, bar), value in zip(BARS.items(), values, strict=True)]
