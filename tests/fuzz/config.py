"""
The configuration: a file, variables of the environment, and flags; and the web configuration with its TLS.

Whatever stands there is a configuration or its errors, each a line of its own that begins with its place.
"""

from __future__ import annotations

import contextlib
import re
import tempfile
from functools import cache
from pathlib import Path

from fuzz.frame import Target, assert_sane, parted
from vitalsd.errors import UsageError
from vitalsd.settings.keys import dotted, settable
from vitalsd.settings.load import load, load_for_asking
from vitalsd.settings.problems import ConfigErrors
from vitalsd.settings.show import show
from vitalsd_exporters.web.tls import load_web_config

NAMES = ("file", "environment", "web")
PLACE = re.compile(r"(?:f\.yaml(?::\d+:\d+)?|VITALSD__\S*|\"VITALSD__.*\"|VITALSD__.*): .")
LONGEST_LINE = 2000


@cache
def _folder() -> Path:
    folder = tempfile.TemporaryDirectory(prefix="vitalsd-fuzz-", dir="/dev/shm")
    _kept.append(folder)
    return Path(folder.name)


_kept: list[tempfile.TemporaryDirectory[str]] = []


def check(content: bytes) -> None:
    """What loads is shown so that it loads again; what does not is told, all of it at once."""
    parts = parted(content, NAMES)
    path = _folder() / "f.yaml"
    path.write_bytes(parts.get("file", b""))
    lines = parts.get("environment", b"").decode("utf-8", "surrogateescape").replace("\0", "").split("\n")
    environ = dict(line.partition("=")[::2] for line in lines if line)
    try:
        loaded = load(path, environ)
    except ConfigErrors as error:
        told = str(error).replace(f"{_folder()}/", "").split("\n")
        assert len(told) == len(error.problems) > 0
        for line in told:
            assert_sane(line)
            assert len(line) <= LONGEST_LINE
            assert PLACE.match(line), line
    else:
        (_folder() / "again.yaml").write_text(show(loaded, sources=True), encoding="utf-8")
        assert load(_folder() / "again.yaml", {}).settings == loaded.settings
    with contextlib.suppress(ConfigErrors):
        load_for_asking(path, environ)
    if "web" in parts:
        _web(parts["web"])


def _web(content: bytes) -> None:
    """One sentence."""
    path = _folder() / "web.yaml"
    path.write_bytes(content)
    try:
        load_web_config(path)
    except UsageError as error:
        assert_sane(str(error))
        assert len(str(error)) <= LONGEST_LINE


KEYS = tuple(dotted(path).rpartition(".")[2].encode() + b": " for path, _ in settable())
TARGET = Target(
    "config",
    "the configuration, and the environment",
    check,
    words=(
        *(b"&a ", b"*a", b"!!str ", b"<<: *a", b"- ", b"{", b"}", b"[", b"|\n", b"? ", b"---\n", b"%YAML 9.9\n"),
        *(
            b"2001-99-99",
            b'"\\0"',
            b'"\\ud800"',
            b"!!binary |",
            b"!!timestamp ",
            b"0o9",
            b"1:30",
            b"tls_server_config:",
        ),
        *(
            b"tls_server_config:",
            b"\n=== environment\nVITALSD__",
            b"\n=== web\n",
            b"VITALSD__STALL__THRESHOLD=",
            b"1s",
            b"256MiB",
            *KEYS,
        ),
    ),
    examples=900,
)
