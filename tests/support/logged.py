"""
Every event that the agent logs, read from the source: its name, the levels it has, and the fields beside them.

What cannot be told from the source fails, so that nobody logs what the catalogue cannot know: a name is a constant
or a choice between constants; fields are keywords, or dicts that are written down.
"""

from __future__ import annotations

import ast
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["LEVELS", "Logged", "logged"]

ROOT = Path(__file__).parents[2]
PACKAGES = {"vitalsd": ROOT / "agent" / "vitalsd", "vitalsd_exporters": ROOT / "exporters" / "vitalsd_exporters"}
LEVELS = ("debug", "info", "warning", "error")
METHODS = {**{level: level for level in LEVELS}, "exception": "error"}
AUDIT = "vitalsd_exporters.web.audit"
AUDITED = frozenset({"client", "agent", "route", "outcome"})
"""Of every request that is written down."""


class Logged(NamedTuple):
    """One event: everything that any of its lines may have."""

    levels: frozenset[str]
    fields: frozenset[str]

    def __or__(self, other: Logged) -> Logged:  # type: ignore[override]
        return Logged(self.levels | other.levels, self.fields | other.fields)


class Module:
    """One file."""

    def __init__(self, name: str, path: Path) -> None:
        self.name = name
        self.tree = ast.parse(path.read_text(encoding="utf-8"))
        self.above = {child: node for node in ast.walk(self.tree) for child in ast.iter_child_nodes(node)}
        self.nodes = list(ast.walk(self.tree))
        self.functions = {node.name: node for node in self.nodes if isinstance(node, FUNCTIONS)}

    @cached_property
    def imported(self) -> dict[str, tuple[str, str]]:
        """Name here -> module and name there."""
        found = [node for node in self.nodes if isinstance(node, ast.ImportFrom) and node.module]
        return {
            alias.asname or alias.name: (node.module or "", alias.name) for node in found for alias in node.names
        }

    def around(self, node: ast.AST) -> ast.FunctionDef | ast.AsyncFunctionDef | None:
        """The function that something stands in."""
        while (node := self.above.get(node)) is not None:  # type: ignore[assignment]
            if isinstance(node, FUNCTIONS):
                return node
        return None

    def values(self, name: str, where: ast.AST) -> list[ast.expr]:
        """What a name is set to in the function around, or else in the file."""
        scope = self.around(where)
        for nodes in (list(ast.walk(scope)) if scope is not None else [], self.tree.body):
            found = [
                node.value
                for node in nodes
                if isinstance(node, ast.Assign | ast.AnnAssign) and node.value is not None
                for target in (node.targets if isinstance(node, ast.Assign) else [node.target])
                if isinstance(target, ast.Name) and target.id == name
            ]
            if found:
                return found
        return []

    def fail(self, node: ast.expr, what: str) -> AssertionError:
        """What to say of something that cannot be told."""
        return AssertionError(f"{self.name}:{node.lineno}: {what} cannot be told: {ast.unparse(node)}")


FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)


class Source:
    """All files."""

    def __init__(self) -> None:
        self.modules = {
            name: Module(name, path)
            for package, folder in PACKAGES.items()
            for path in sorted(folder.rglob("*.py"))
            if not path.is_relative_to(PACKAGES["vitalsd"] / "probe")  # it is a guest, and says nothing
            for name in [".".join((package, *path.relative_to(folder).with_suffix("").parts))]
        }

    def calls(self, name: str) -> Iterator[tuple[Module, ast.Call]]:
        """Every call of a function or a method of this name."""
        for module in self.modules.values():
            for node in module.nodes:
                if isinstance(node, ast.Call) and name in (
                    getattr(node.func, "id", None),
                    getattr(node.func, "attr", None),
                ):
                    yield module, node

    def names(self, module: Module, node: ast.expr) -> set[str]:
        """Each text that an expression may be."""
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            return {node.value}
        if isinstance(node, ast.IfExp):
            return self.names(module, node.body) | self.names(module, node.orelse)
        if isinstance(node, ast.Name) and (found := module.values(node.id, node)):
            return set().union(*(self.names(module, value) for value in found))
        raise module.fail(node, "the name of an event")

    def fields(self, module: Module, node: ast.expr) -> set[str]:
        """Each key that an expression, which is a dict, may have."""
        if isinstance(node, ast.Dict):
            named = [self.names(module, key) for key in node.keys if key is not None]
            more = [
                self.fields(module, value)
                for key, value in zip(node.keys, node.values, strict=True)
                if key is None
            ]
            return set().union(*named, *more)
        if isinstance(node, ast.IfExp):
            return self.fields(module, node.body) | self.fields(module, node.orelse)
        if isinstance(node, ast.BinOp) and isinstance(node.op, ast.BitOr):
            return self.fields(module, node.left) | self.fields(module, node.right)
        if isinstance(node, ast.Name) and (found := module.values(node.id, node)):
            return set().union(*(self.fields(module, value) for value in found))
        if isinstance(node, ast.Name) and (scope := module.around(node)) is not None and _takes(scope, node.id):
            own = {each.arg for each in (*scope.args.args, *scope.args.kwonlyargs)}
            found_in = [self.keywords(of, call) for of, call in self.calls(scope.name) if of is module]
            return set().union(*found_in) - own
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            return set().union(*(self.fields(of, value) for of, value in self.returned(module, node.func.id)))
        raise module.fail(node, "the fields of an event")

    def keywords(self, module: Module, call: ast.Call) -> set[str]:
        """What is handed to a call by name."""
        named = {each.arg for each in call.keywords if each.arg is not None}
        more = [self.fields(module, each.value) for each in call.keywords if each.arg is None]
        return named.union(*more)

    def returned(self, module: Module, name: str) -> Iterator[tuple[Module, ast.expr]]:
        """What a function gives."""
        if name in module.imported:
            place, name = module.imported[name]
            module = self.modules[place]
        for node in ast.walk(module.functions[name]):
            if isinstance(node, ast.Return) and node.value is not None:
                yield module, node.value

    def levels(self, module: Module, call: ast.Call) -> set[str]:
        """The methods of a logger that a call may be of; none for a call of something else."""

        def method(node: ast.expr) -> set[str]:
            if isinstance(node, ast.IfExp):
                return method(node.body) | method(node.orelse)
            if isinstance(node, ast.Attribute) and node.attr in METHODS and _is_logger(module, node.value):
                return {node.attr}
            return set()

        if isinstance(call.func, ast.Name):
            return set().union(*(method(value) for value in module.values(call.func.id, call)))
        return method(call.func)


def _takes(function: ast.FunctionDef | ast.AsyncFunctionDef, name: str) -> bool:
    """Whether that is what is left of the keywords it is called with."""
    return function.args.kwarg is not None and function.args.kwarg.arg == name


def _is_logger(module: Module, node: ast.expr) -> bool:
    if isinstance(node, ast.Name):
        return any(_is_logger(module, value) for value in module.values(node.id, node))
    return isinstance(node, ast.Call) and ast.unparse(node.func).endswith("get_logger")


def logged() -> dict[str, Logged]:
    """Event -> its levels and fields, wherever it is logged."""
    source = Source()
    found: dict[str, Logged] = {}

    def add(name: str, event: Logged) -> None:
        found[name] = found[name] | event if name in found else event

    for module in source.modules.values():
        for call in module.nodes:
            if not isinstance(call, ast.Call) or not (methods := source.levels(module, call)):
                continue
            if module.name == AUDIT:
                assert methods == {"info"}
                continue
            fields = source.keywords(module, call)
            if "exc_info" in fields or "exception" in methods:
                fields = fields - {"exc_info"} | {"exception"}
            levels = frozenset(METHODS[each] for each in methods)
            for name in source.names(module, call.args[0]):
                add(name, Logged(levels, frozenset(fields)))
    for name, fields in _audited(source):
        add(name, Logged(frozenset({"info"}), AUDITED | fields))
    return found


def _audited(source: Source) -> Iterator[tuple[str, set[str]]]:
    """Of web/audit.py, which writes down what others hand to it."""
    for module, call in source.calls("record"):
        if module.name != AUDIT and module.imported.get("record", ("",))[0] == AUDIT:
            for name in source.names(module, call.args[1]):
                yield name, source.keywords(module, call)
    for module, call in source.calls("audited"):
        route = module.above[call]
        assert isinstance(route, ast.Call)
        assert isinstance(call.args[1], ast.Name)
        path = route.args[0]
        named = set() if isinstance(path, ast.Constant) and "{" not in path.value else {"capture"}
        for own in source.names(module, call.args[0]):
            yield own, named | {"reason"}
            for of, done in _done(source, module, module.functions[call.args[1].id]):
                facts = [source.fields(of, each.value) for each in done.keywords if each.arg == "facts"]
                names = source.names(of, done.args[2]) if len(done.args) > 2 else {own}
                for name in names:
                    yield name, named.union(*facts)


def _done(source: Source, module: Module, function: ast.AST) -> Iterator[tuple[Module, ast.Call]]:
    """What comes of a request: each `Done` that a handler makes, or that what it hands the request on to makes."""
    for node in ast.walk(function):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            if node.func.id == "Done":
                yield module, node
            elif isinstance(module.above[node], ast.Return) and node.func.id in module.functions:
                yield from _done(source, module, module.functions[node.func.id])
