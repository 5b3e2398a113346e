"""
A flame graph as one SVG: callers above, what they call below, as wide as the share of the samples. Pure.

It needs nothing but a viewer: no script, no style sheet, no font that is fetched, so any policy lets it be shown.
Widths are in per cent and fill the window; what does not fit into a box is cut at its border, and is in its
tooltip. Colours tell whose code it is, and vary a little with the name, always alike. The heaviest MOST_BOXES are
drawn; the rest of what one calls is one box beside them.
"""

from __future__ import annotations

import colorsys
import html
import re
from binascii import crc32
from collections.abc import Iterator, Sequence

from vitalsd.capture.profiles.folded import Sampled, Thread
from vitalsd.capture.profiles.tree import Node, choose, grow, ordered
from vitalsd.detect.machinery import Origin, origin

__all__ = ["flamegraph"]

MOST_BOXES = 2500
LEAST_SHARE = 0.0004
"""Half a pixel of a window of 1,200."""
TEXT_SHARE = 0.012
ROW, GAP, HEAD, MARGIN = 19, 1, 78, 12
FONT = "ui-sans-serif, system-ui, -apple-system, 'Segoe UI', Roboto, 'Helvetica Neue', Arial, sans-serif"
MONO = "ui-monospace, SFMono-Regular, Menlo, Consolas, 'DejaVu Sans Mono', monospace"
INK, FAINT, PAPER = "#1f2328", "#59636e", "#ffffff"
NEUTRAL, REST = "#dfe3e8", "#eef0f2"
HUES: dict[Origin, tuple[int, int, int, str]] = {
    Origin.OWN: (18, 92, 66, "own code"),
    Origin.PACKAGE: (46, 88, 68, "packages"),
    Origin.STANDARD: (208, 62, 79, "standard library"),
    Origin.FRAMEWORK: (152, 42, 74, "framework"),
    Origin.LOOP: (262, 45, 84, "event loop"),
}
"""Hue in degrees, saturation and lightness in per cent, and what the legend says."""
NOT_IN_XML = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
Box = tuple[Node | None, float, float, int, int, int]
"""Node, or None for the rest; left and width as shares; row; samples; how many calls the rest are."""


def flamegraph(stacks: Sequence[Sampled], *, title: str, subtitle: str) -> str:
    """The document."""
    root = grow(stacks)
    boxes = list(_boxes(root, choose(root, MOST_BOXES, LEAST_SHARE))) if root.samples else []
    rows = max((box[3] for box in boxes), default=0) + 1
    height = HEAD + rows * ROW + MARGIN
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="100%" height="{height}" font-family="{FONT}" '
        f'font-size="12" fill="{INK}">\n'
        f"<title>{_plain(title)}</title>\n"
        f'<rect width="100%" height="100%" fill="{PAPER}"/>\n'
        f'<text x="{MARGIN}" y="26" font-size="16" font-weight="600">{_plain(title)}</text>\n'
        f'<text x="{MARGIN}" y="45" fill="{FAINT}">{_plain(subtitle)}</text>\n'
    )
    drawn = [_draw(box, root.samples) for box in boxes] or [_nothing()]
    return "".join([head, *_legend(), *drawn, "</svg>\n"])


def _boxes(root: Node, chosen: set[int]) -> Iterator[Box]:
    waiting = [(root, 0.0, 0)]
    while waiting:
        node, left, row = waiting.pop()
        yield node, left, node.samples / root.samples, row, node.samples, 0
        rest, calls = 0, 0
        for called in ordered(node):
            if id(called) in chosen:
                waiting.append((called, left, row + 1))
                left += called.samples / root.samples
            else:
                rest, calls = rest + called.samples, calls + 1
        if rest >= root.samples * LEAST_SHARE:
            yield None, left, rest / root.samples, row + 1, rest, calls


def _draw(box: Box, total: int) -> str:
    node, left, width, row, samples, calls = box
    share = f"{100 * samples / total:.1f} % of the samples ({samples:,})"
    if node is None:
        fill, name, place = REST, f"{calls:,} more", ""
        tip = f"{calls:,} more calls\n{share}"
    elif row == 0:
        fill, name, place = NEUTRAL, "all", f"{samples:,} samples"
        tip = f"all threads\n{samples:,} samples"
    elif isinstance(node.call, Thread):
        fill, name, place = NEUTRAL, node.call.name or "thread", node.call.id
        tip = f"thread {node.call.name} ({node.call.id})\n{share}"
    else:
        frame = node.frame
        fill, name, place = _colour(frame.function, origin(frame)), frame.function, _short(frame.file, frame.line)
        itself = f"\nin itself {100 * node.itself / total:.1f} %" if node.itself else ""
        tip = f"{frame.function}\n{frame.file}:{frame.line}\n{share}{itself}"
    text = ""
    if width >= TEXT_SHARE:
        faint = f'<tspan dx="7" fill-opacity="0.68" font-size="10.5">{_plain(place)}</tspan>' if place else ""
        text = f'<text x="4" y="13" font-family="{MONO}" font-size="11.5">{_plain(name)}{faint}</text>'
    # A nested svg cuts its content at its own border, however wide that turns out to be.
    return (
        f'<svg x="{100 * left:.3f}%" y="{HEAD + row * ROW}" width="{100 * width:.3f}%" height="{ROW - GAP}">'
        f'<title>{_plain(tip)}</title><rect width="100%" height="100%" fill="{fill}" stroke="{PAPER}" '
        f'stroke-width="0.5"/>{text}</svg>\n'
    )


def _colour(name: str, kind: Origin) -> str:
    hue, saturation, lightness, _ = HUES[kind]
    chance = crc32(name.encode("utf-8", "replace"))
    turned = (hue + chance % 13 - 6) % 360
    paler = lightness + chance // 13 % 9 - 4
    red, green, blue = colorsys.hls_to_rgb(turned / 360, paler / 100, saturation / 100)
    return f"#{round(red * 255):02x}{round(green * 255):02x}{round(blue * 255):02x}"


def _legend() -> Iterator[str]:
    left = MARGIN
    for kind, (_, _, _, words) in HUES.items():
        yield (
            f'<rect x="{left}" y="56" width="11" height="11" rx="2" fill="{_colour("", kind)}"/>'
            f'<text x="{left + 16}" y="66" font-size="11" fill="{FAINT}">{words}</text>\n'
        )
        left += 40 + round(6.1 * len(words))


def _nothing() -> str:
    return (
        f'<text x="{MARGIN}" y="{HEAD + 14}" font-size="13">'
        "No sample: none of its code ran whenever it was looked at.</text>\n"
    )


def _short(file: str, line: int) -> str:
    """The last two parts of the path."""
    return f"{'/'.join(file.rsplit('/', 2)[-2:])}:{line}" if file else ""


def _plain(text: str) -> str:
    return html.escape(NOT_IN_XML.sub("\ufffd", text), quote=False)
