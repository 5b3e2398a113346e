"""
Finds memray for this interpreter without importing it, and loads of it what tracking needs.

It is looked for where the service itself would, in the folders of `sys.path`; then beside the probe, where
`vitalsd probe install --with-memray` puts it; then in the folder that `vitalsd run` names in VITALSD_MEMRAY. Only
an extension that is built for this very interpreter, as its name tells, is ever loaded.

Loaded are the extension and four small modules: not the package, and not rich, which the extension imports for a
progress bar. Whatever of the service imports rich in that moment gets the real one. The extension's libraries
are mapped outside the interpreter lock, so a slow disk holds up nobody; what holds it takes 2 ms, once in the life
of a process, and 6 MB stay.
"""

from __future__ import annotations

import os
import sys
from _frozen_importlib import ModuleSpec
from _frozen_importlib_external import ExtensionFileLoader
from _imp import extension_suffixes
from time import perf_counter

from .lifecycle import get_ident
from .native import LIBC, ctypes
from .protocol import Refused

TYPE_CHECKING = False  # importing typing would be more than the service asked for
if TYPE_CHECKING:
    from collections.abc import Generator
    from typing import Any

OWN, BESIDE, GIVEN = "own", "beside", "given"
GIVEN_BY = "VITALSD_MEMRAY"
FOLDER = "vitalsd_memray"
"""Beside the folders of the probe's versions; in it a folder for each kind of interpreter."""
NEEDED = ("collections", "contextlib", "dataclasses", "datetime", "enum", "pathlib", "platform", "typing")
"""What the extension imports of the standard library; most services have most of it already."""
PARTS = ("_destination", "_metadata", "_stats", "_thread_name_interceptor")
STOOD_IN_FOR = ("rich", "rich.progress")
RTLD_NOW = 2

_Module: Any = type(sys)
_importing = False
opening = False
"""Whether a library is, without the interpreter's lock: a child that is forked meanwhile could never open one."""


def kind() -> str:
    """Of interpreter, as the names of extensions tell it: `cpython-311-x86_64-linux-gnu`."""
    named = [suffix for suffix in extension_suffixes() if "cpython-" in suffix]
    return named[0].split(".")[1] if named else ""


def paths() -> list[str]:
    """Where the service looks for modules, but for the folder it happens to be in."""
    entries: list[Any] = list(sys.path)
    return [entry for entry in entries if isinstance(entry, str) and os.path.isabs(entry)]


def find() -> tuple[str, str]:
    """By which way memray can be had, and the folder of its package; nothing where it cannot."""
    name = os.path.join("memray", "_memray.%s.so" % kind())
    home = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
    ways = (
        (OWN, paths()),
        (BESIDE, [os.path.join(home, FOLDER, kind())]),
        (GIVEN, [entry for entry in os.environ.get(GIVEN_BY, "").split(os.pathsep) if os.path.isabs(entry)]),
    )
    for way, folders in ways:
        for folder in folders:
            path = os.path.join(folder, name)
            if os.path.isfile(path):
                return way, os.path.dirname(path)
    return "", ""


def load(package: str) -> Generator[None, None, tuple[Any, float]]:
    """Load it in steps; the extension in the end, and for how long the interpreter was held at the most."""
    global opening
    loaded = sys.modules.get("memray._memray")
    if loaded is not None:
        return loaded, 0.0
    if "threading" not in sys.modules:
        raise Refused("the process has not imported threading")  # whoever does so first is its main thread
    if LIBC is None:
        raise Refused("this build of Python has no ctypes")
    for name in NEEDED:
        if name not in sys.modules:
            _import(name)
            yield
    path = os.path.join(package, "_memray.%s.so" % kind())
    LIBC.dlopen.restype = ctypes.c_void_p
    LIBC.dlopen.argtypes = (ctypes.c_char_p, ctypes.c_int)
    opening = True
    try:
        LIBC.dlopen(os.fsencode(path), RTLD_NOW)  # it is said below why it cannot be, if so
    finally:
        opening = False
    yield
    held = []
    for load_one, what in (*((_load_part, os.path.join(package, part + ".py")) for part in PARTS), (_load, path)):
        began = perf_counter()
        load_one(what)
        held.append(perf_counter() - began)
        yield
    return sys.modules["memray._memray"], max(held)


def _import(name: str) -> None:
    global _importing
    _importing = True
    try:
        __import__(name)
    finally:
        _importing = False


def after_fork() -> None:
    """In a forked child: let go of what the parent's thread was in the middle of importing, and of its locks."""
    global _importing, opening
    opening = False
    if _importing:
        _importing = False
        locks = sys.modules["_frozen_importlib"]._module_locks
        for name in list(locks):
            lock = locks[name]()
            if lock is not None and lock.owner not in (None, get_ident()):
                del locks[name]
                sys.modules.pop(name, None)


def _load_part(path: str) -> None:
    name = "memray." + os.path.basename(path)[:-3]
    if name in sys.modules:
        return
    with open(path, "rb") as file:
        code = compile(file.read(), path, "exec")
    module = _Module(name)
    module.__file__, module.__package__ = path, "memray"
    sys.modules[name] = module
    try:
        exec(code, module.__dict__)  # noqa: S102 - a module's own text, as an import has it
    except BaseException:
        del sys.modules[name]
        raise


def _load(path: str) -> None:
    loader = ExtensionFileLoader("memray._memray", path)
    spec = ModuleSpec("memray._memray", loader, origin=path)
    stand_ins = [StandIn(name, _nothing) for name in STOOD_IN_FOR if name not in sys.modules]
    try:
        module = loader.create_module(spec)
        module.__spec__, module.__loader__, module.__package__, module.__file__ = spec, loader, "memray", path
        sys.modules["memray._memray"] = module
        try:
            loader.exec_module(module)
        except BaseException:
            del sys.modules["memray._memray"]
            raise
    finally:
        for stand_in in stand_ins:
            stand_in.go()
    later = {name: _Later("rich.progress", name) for name in ("Progress", "SpinnerColumn")}
    # What it prints is a greeting to who has greenlets, on the service's standard error.
    module.__dict__.update(later, pprint=_nothing)


def _nothing(*_args: Any, **_named: Any) -> None:
    pass


class _Later:
    """What a module has, imported when it is called: for a service that uses memray by itself one day."""

    def __init__(self, module: str, name: str) -> None:
        self._module, self._name = module, name

    def __call__(self, *args: Any, **named: Any) -> Any:
        return getattr(__import__(self._module, fromlist=[self._name]), self._name)(*args, **named)


class StandIn(_Module):  # type: ignore[misc]
    """In the place of a module that this thread does not want; any other thread gets the module itself."""

    def __init__(self, name: str, gives: Any) -> None:
        _Module.__init__(self, name)
        self._ident = get_ident()
        self._gives = gives
        sys.modules[name] = self

    def __getattr__(self, name: str) -> Any:
        if get_ident() != self._ident:
            self.go()
            return getattr(__import__(self.__name__, fromlist=["*"]), name)
        if name.startswith("__"):
            raise AttributeError(name)
        return self._gives

    def go(self) -> None:
        """Leave the place."""
        if sys.modules.get(self.__name__) is self:
            del sys.modules[self.__name__]
