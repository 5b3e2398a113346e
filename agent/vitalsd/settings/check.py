"""What no key can tell alone: rules between keys, each blamed on the place that can mend it."""

from __future__ import annotations

from importlib.util import find_spec
from typing import TYPE_CHECKING

from vitalsd.settings.keys import Path, dotted
from vitalsd.settings.model import Settings
from vitalsd.settings.problems import Problem
from vitalsd.settings.types import split_listen

if TYPE_CHECKING:
    from collections.abc import Iterator

    from vitalsd.settings.layer import Layer

__all__ = ["check"]

_UNREADABLE = object()
_TARGETS = ("targets",)
_PEERS: Path = ("exporters", "alertmanager", "peers")
_LABELS: Path = ("exporters", "alertmanager", "labels")
_OWN_LABELS = ("alertname", "cause", "kind", "severity", "target", "worker")
_OTLP: Path = ("exporters", "otlp")
_ENDPOINT: Path = (*_OTLP, "endpoint")
_APPENDED = "/v1/metrics"
_LINKS: tuple[Path, ...] = (
    *(("exporters", "alertmanager", key) for key in ("external_url", "runbooks")),
    _ENDPOINT,
)
_EVERY_INTERFACE = ("", "0.0.0.0", "::")  # noqa: S104 - compared, not bound


def check(merged: Layer) -> Iterator[Problem]:
    """Yield what is wrong between keys; what could not be read is left alone."""
    yield from _targets(merged)
    yield from _listens(merged)
    yield from _peers(merged)
    yield from _labels(merged)
    yield from _otlp(merged)


def _targets(merged: Layer) -> Iterator[Problem]:
    holders: dict[object, Path] = {}
    for index in range(merged.counts.get(_TARGETS, 0)):
        target: Path = (*_TARGETS, index)
        if target not in merged.places:
            continue
        found_by = [key for key in ("match", "pid") if _given(merged, (*target, key))]
        if not found_by:
            yield Problem(merged.places[target], f"{dotted(target)}: needs match or pid")
        elif len(found_by) > 1:
            yield Problem(merged.places[target], f"{dotted(target)}: has match and pid, keep one of them")
        if merged.values.get((*target, "per_container")) and "match" not in found_by:
            place = merged.places[*target, "per_container"]
            yield Problem(place, f"{dotted(target)}.per_container: goes with match")
        name = merged.values.get((*target, "name"))
        if name in holders:
            place = merged.places[*target, "name"]
            yield Problem(place, f"{dotted(target)}.name: {name} is the name of {dotted(holders[name])} already")
        elif name is not None:
            holders[name] = target


def _given(merged: Layer, path: Path) -> bool:
    return path in merged.places and merged.values.get(path, _UNREADABLE) is not None


def _listens(merged: Layer) -> Iterator[Problem]:
    defaults = Settings().exporters
    prometheus: Path = ("exporters", "prometheus", "listen")
    control: Path = ("exporters", "control", "listen")
    given = [path for path in (control, prometheus) if path in merged.places]
    if not given or any(path not in merged.values for path in given):
        return
    open_host, open_port = split_listen(str(merged.values.get(prometheus, defaults.prometheus.listen)))
    guarded_host, guarded_port = split_listen(str(merged.values.get(control, defaults.control.listen)))
    same_host = open_host == guarded_host or {open_host, guarded_host}.intersection(_EVERY_INTERFACE)
    # Port 0 asks the kernel for a free port, twice if need be.
    if same_host and open_port == guarded_port != 0:
        sentence = f"{dotted(prometheus)} and {dotted(control)} need different ports, both have {open_port}"
        yield Problem(merged.places[given[0]], sentence)


def _peers(merged: Layer) -> Iterator[Problem]:
    urls = [(*_PEERS, index, "url") for index in range(merged.counts.get(_PEERS, 0))]
    for url in (*urls, *_LINKS):
        if "@" in str(merged.values.get(url)):
            sentence = "has a user or a password in it, which belong into files of their own"
            yield Problem(merged.places[url], f"{dotted(url)}: {sentence}")
    holders: dict[object, Path] = {}
    for url in urls:
        peer = url[:-1]
        if peer not in merged.places:
            continue
        known = merged.values.get(url)
        if known in holders:
            yield Problem(merged.places[url], f"{dotted(url)}: is that of {dotted(holders[known])} already")
        elif known is not None:
            holders[known] = peer
        yield from _together(merged, peer, "username", "password_file")
        yield from _together(merged, peer, "cert_file", "key_file")
        if _given(merged, (*peer, "username")) and _given(merged, (*peer, "bearer_token_file")):
            sentence = f"{dotted(peer)}: has username and bearer_token_file, keep one of them"
            yield Problem(merged.places[peer], sentence)


def _together(merged: Layer, where: Path, one: str, other: str) -> Iterator[Problem]:
    has = [key for key in (one, other) if _given(merged, (*where, key))]
    if len(has) == 1:
        place = merged.places.get(where) or merged.places[*where, has[0]]
        yield Problem(place, f"{dotted(where)}: {one} and {other} need each other")


def _otlp(merged: Layer) -> Iterator[Problem]:
    yield from _together(merged, _OTLP, "cert_file", "key_file")
    endpoint = merged.values.get(_ENDPOINT)
    if endpoint is None:
        return
    if str(endpoint).endswith(_APPENDED):
        sentence = f"{_APPENDED} is appended, leave it out"
        yield Problem(merged.places[_ENDPOINT], f"{dotted(_ENDPOINT)}: {sentence}")
    if not _can_speak_otlp():
        sentence = "needs opentelemetry-proto, which is not installed: pip install 'vitalsd[otlp]'"
        yield Problem(merged.places[_ENDPOINT], f"{dotted(_ENDPOINT)}: {sentence}")


def _can_speak_otlp() -> bool:
    """Whether the extra is there; nothing of it is loaded."""
    try:
        return find_spec("opentelemetry.proto") is not None
    except ModuleNotFoundError:
        return False


def _labels(merged: Layer) -> Iterator[Problem]:
    seen: set[object] = set(_OWN_LABELS)
    for index in range(merged.counts.get(_LABELS, 0)):
        path: Path = (*_LABELS, index, "name")
        name = merged.values.get(path)
        if name is not None and name in seen:
            yield Problem(merged.places[path], f"{dotted(path)}: every alert has {name} already")
        seen.add(name)
