"""The configuration from every side: defaults < file < environment < flags, checked as a whole.

Either a Loaded comes out of here, or one ConfigErrors that tells everything that is wrong.
"""

from __future__ import annotations

import pathlib
from typing import TYPE_CHECKING, Any

import msgspec

from vitalsd.settings.check import check
from vitalsd.settings.keys import Listing, Path, Section, dotted, fields, settable
from vitalsd.settings.layer import Layer, advice
from vitalsd.settings.model import Settings
from vitalsd.settings.problems import ENVIRONMENT, FILE, FLAG, ConfigErrors, Place, Problem, quoted

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = ["SYSTEM_CONFIG", "Loaded", "Override", "find_config", "load", "load_for_asking"]

SYSTEM_CONFIG = pathlib.Path("/etc/vitalsd/vitalsd.yaml")
_PREFIX = "VITALSD__"
LONGEST_SHOWN = 100
"""Of a variable's name: none of ours has half of it."""
TO_ASK: tuple[Path, ...] = (
    ("exporters", "control", "listen"),
    ("exporters", "control", "token_file"),
    ("storage", "dir"),
)
"""What it takes to ask an agent that runs."""


class Override(msgspec.Struct, frozen=True):
    """What a flag says about one key."""

    flag: str
    """As it is blamed: `--listen`."""
    key: str
    """`exporters.prometheus.listen`"""
    value: str
    """The text, as the environment would have it: for `targets` that is YAML, and so JSON will do."""


class Loaded(msgspec.Struct, frozen=True):
    """A valid configuration and where each of its values came from."""

    settings: Settings
    path: pathlib.Path | None
    """The file it was read from."""
    sources: dict[str, str]
    """`targets[0].name` -> `FILE:LINE`, the name of a variable, or a flag; what is not here is a default."""

    def source(self, key: str) -> str:
        """Return where the value of `key` came from."""
        return self.sources.get(key, "default")


def find_config(flag: str | None, environ: Mapping[str, str]) -> pathlib.Path | None:
    """Return the file to load: the one asked for, else $VITALSD_CONFIG, else the system's if there is one."""
    asked = flag or environ.get("VITALSD_CONFIG")
    if asked:
        return pathlib.Path(asked)
    try:
        SYSTEM_CONFIG.stat()
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError:
        pass  # it is there and cannot be read: loading it says so, defaults would be silent
    return SYSTEM_CONFIG


def load(path: pathlib.Path | None, environ: Mapping[str, str], overrides: Sequence[Override] = ()) -> Loaded:
    """Load, merge and check the configuration; raise ConfigErrors with everything that is wrong with it."""
    merged = _merged(path, environ, overrides)
    if merged.problems:
        raise ConfigErrors(merged.problems)
    sources = {dotted(where): place.source for where, place in merged.places.items()}
    return Loaded(settings=_build(Settings, merged, ()), path=path, sources=sources)


def load_for_asking(
    path: pathlib.Path | None, environ: Mapping[str, str], overrides: Sequence[Override] = ()
) -> tuple[Settings, tuple[Problem, ...]]:
    """
    What can be read of a configuration, and what is wrong with it: an agent that runs was started with a good one.

    It has no targets, which who asks does not need. Raises ConfigErrors where what it takes to ask is wrong, or a
    flag, and where there is no file to be read: it is another one, then.
    """
    merged = _merged(path, environ, overrides)
    sides = {problem.place.side for problem in merged.problems if not problem.place.line}
    misses = FILE in sides or FLAG in sides
    if misses or any(needed in merged.places and needed not in merged.values for needed in TO_ASK):
        raise ConfigErrors(merged.problems)
    merged.counts.clear()
    return _build(Settings, merged, ()), tuple(sorted(merged.problems))


def _merged(path: pathlib.Path | None, environ: Mapping[str, str], overrides: Sequence[Override]) -> Layer:
    layers = [] if path is None else [_from_file(path)]
    layers += _from_environment(environ)
    layers += _from_flags(overrides)
    merged = Layer(Place(FILE, ""))
    merged.problems += [problem for layer in layers for problem in layer.problems]
    for layer in layers:
        _lay_over(merged, layer)
    merged.problems += check(merged)
    return merged


def _from_file(path: pathlib.Path) -> Layer:
    layer = Layer(Place(FILE, str(path)))
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        layer.problems.append(Problem(layer.whole, "there is no such file"))
    except IsADirectoryError:
        layer.problems.append(Problem(layer.whole, "is a folder, a file was expected"))
    except PermissionError:
        layer.problems.append(Problem(layer.whole, "this user may not read it"))
    except OSError as error:
        layer.problems.append(Problem(layer.whole, f"cannot be read: {error.strerror}"))
    else:
        try:
            layer.read_document(data.decode("utf-8-sig"), Settings)
        except UnicodeDecodeError as error:
            line = data.count(b"\n", 0, error.start) + 1
            column = error.start - data.rfind(b"\n", 0, error.start)
            place = Place(FILE, str(path), line, column)
            layer.problems.append(Problem(place, "not UTF-8, save the file in that encoding"))
    return layer


def _from_environment(environ: Mapping[str, str]) -> list[Layer]:
    known = {"__".join(path).upper(): (path, field) for path, field in settable()}
    layers = []
    for variable, text in environ.items():
        if not variable.startswith(_PREFIX):
            continue
        layer = Layer(
            Place(
                ENVIRONMENT,
                variable if variable.isprintable() and len(variable) <= LONGEST_SHOWN else quoted(variable),
            )
        )
        name = variable.removeprefix(_PREFIX)
        if name in known:
            path, field = known[name]
            layer.read_text(text, field, path)
        else:
            sentence = f"unknown variable, {advice(name, known, _PREFIX)}"
            layer.problems.append(Problem(layer.whole, sentence))
        layers.append(layer)
    return layers


def _from_flags(overrides: Sequence[Override]) -> list[Layer]:
    known = {dotted(path): (path, field) for path, field in settable()}
    layers = []
    for override in overrides:
        path, field = known[override.key]
        layer = Layer(Place(FLAG, override.flag))
        layer.read_text(override.value, field, path)
        layers.append(layer)
    return layers


def _lay_over(lower: Layer, upper: Layer) -> None:
    for listing in upper.counts:
        for path in [path for path in lower.places if path[: len(listing)] == listing]:
            del lower.places[path]
            lower.values.pop(path, None)
    lower.counts |= upper.counts
    lower.values |= upper.values
    lower.places |= upper.places


def _build(struct: type[msgspec.Struct], merged: Layer, path: Path) -> Any:
    given: dict[str, object] = {}
    for name, field in fields(struct).items():
        here = (*path, name)
        if isinstance(field, Section):
            given[name] = _build(field.struct, merged, here)
        elif isinstance(field, Listing):
            given[name] = [
                _build(field.item, merged, (*here, index)) for index in range(merged.counts.get(here, 0))
            ]
        elif here in merged.values:
            given[name] = merged.values[here]
    return struct(**given)
