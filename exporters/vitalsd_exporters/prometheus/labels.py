"""
Labels as Prometheus writes them in braces, and those of a worker, which dozens of its samples share.

Names are ours and need no escaping (the test of the catalogue sees to that), a value seldom does.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import lru_cache
from operator import itemgetter
from typing import NoReturn

__all__ = ["WorkerLabels", "braces", "escaped", "worker_labels"]

ESCAPES = str.maketrans({"\\": r"\\", "\n": r"\n", '"': r"\""})
WORKERS = 4096


class WorkerLabels(dict[str, str]):
    """Those that everything of a worker has, with what they are written as: never changed."""

    __slots__ = ("text",)

    def __init__(self, target: str, slot: str) -> None:
        super().__init__(target=target, worker=slot)
        self.text = _written(self)

    def _refuse(self, *_: object, **__: object) -> NoReturn:
        raise TypeError("labels of a worker are shared: make others of them by `|`")

    __setitem__ = __delitem__ = __ior__ = update = setdefault = pop = popitem = clear = _refuse


@lru_cache(maxsize=WORKERS)
def worker_labels(target: str, slot: str) -> WorkerLabels:
    """Of one worker."""
    return WorkerLabels(target, slot)


def braces(labels: Mapping[str, str]) -> str:
    """Labels in the order of their names; nothing where there is none."""
    if type(labels) is WorkerLabels:
        return labels.text
    return _written(labels) if labels else ""


def _written(labels: Mapping[str, str]) -> str:
    form, values, quotes = _form(tuple(labels))
    text = form % values(labels)
    if text.count('"') == quotes and "\\" not in text and "\n" not in text:
        return text
    return form % values({name: escaped(value) for name, value in labels.items()})


@lru_cache(maxsize=1024)
def escaped(value: str) -> str:
    """What stands between the quotes."""
    return value.translate(ESCAPES)


@lru_cache(maxsize=256)
def _form(names: tuple[str, ...]) -> tuple[str, Callable[[Mapping[str, str]], object], int]:
    """The text of labels of these names but for their values, what takes these, and how many quotes it has."""
    ordered = sorted(names)
    return "{" + ",".join(f'{name}="%s"' for name in ordered) + "}", itemgetter(*ordered), 2 * len(ordered)
