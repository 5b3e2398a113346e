"""
The options that several commands share, and the configuration they amount to.

What reads a configuration brings YAML along, at a twentieth of a second, so it is imported once there is one to
read: a help text and a Tab need none.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from vitalsd.errors import UsageError

if TYPE_CHECKING:
    from vitalsd.settings.load import Loaded, Override
    from vitalsd.settings.model import Settings
    from vitalsd.settings.problems import Problem

__all__ = [
    "add_agent_options",
    "add_config_options",
    "config_loader",
    "instead",
    "refuse_unwatchable",
    "settings_to_ask",
    "settings_to_look",
]

CAP_SYS_PTRACE = 1 << 19
FOUND = "Without --config the file is $VITALSD_CONFIG, else /etc/vitalsd/vitalsd.yaml where that is, else none."
CONFIGURATION = f"""{FOUND}
A variable VITALSD__SECTION__KEY overrules the file, and an option overrules both."""
WHICH_AGENT = f"As it was started. {FOUND}"
OR_ANOTHER = f"""{WHICH_AGENT}
Where none is named, and none is at the usual address, the only other one that runs here is shown, and a line on
standard error says so. With --json, and where something is changed, the error names it instead."""
STAND_IN = {"name": "service", "pid": 1}
KEYS = {
    "listen": "exporters.prometheus.listen",
    "control_listen": "exporters.control.listen",
    "storage_dir": "storage.dir",
    "log_level": "log.level",
    "log_format": "log.format",
}


def add_config_options(parser: argparse.ArgumentParser, level: str = "info") -> None:
    """Add what overrides the configuration."""
    group = parser.add_argument_group("configuration", CONFIGURATION)
    group.add_argument("--config", metavar="FILE", help="the file to read")
    group.add_argument("--listen", metavar="ADDR", help="where metrics and health are served (0.0.0.0:18780)")
    group.add_argument("--control-listen", metavar="ADDR", help="where page and API are served (127.0.0.1:18781)")
    group.add_argument("--log-level", metavar="LEVEL", help=f"debug, info, warning or error ({level})")
    group.add_argument("--log-format", metavar="FORMAT", help="auto, json or console (auto)")


def add_agent_options(parser: argparse.ArgumentParser, *, looks: bool = False) -> None:
    """Add what says which agent is meant: the same as it was started with; `looks` for `settings_to_look`."""
    group = parser.add_argument_group("which agent", OR_ANOTHER if looks else WHICH_AGENT)
    group.add_argument("--config", metavar="FILE", help="its configuration")
    group.add_argument("--listen", metavar="ADDR", help="where it serves metrics and health (0.0.0.0:18780)")
    group.add_argument("--control-listen", metavar="ADDR", help="where it serves its API (127.0.0.1:18781)")


def config_loader(args: argparse.Namespace, **target: object) -> Callable[[], Loaded]:
    """A function that loads the configuration as it is at that moment; `target` stands for the file's targets."""
    from vitalsd.settings.load import Override, find_config, load
    from vitalsd.settings.problems import ConfigErrors

    overrides = _overrides(args)
    problems = [*_problems_of(target), *_no_file(args)]
    if target:
        flag = "--pid" if "pid" in target else "--match"
        # With a mistake in it, another takes its place, so that what is wrong elsewhere is told at once too.
        overrides.append(Override(flag, "targets", json.dumps([target if not problems else STAND_IN])))

    def load_now() -> Loaded:
        try:
            loaded = load(find_config(args.config, os.environ), os.environ, overrides)
        except ConfigErrors as error:
            raise ConfigErrors([*problems, *error.problems]) from None
        if problems:
            raise ConfigErrors(problems)
        return loaded

    return load_now


def settings_to_ask(args: argparse.Namespace) -> Settings:
    """
    What it takes to ask the agent that runs, be the file wrong by now; what is wrong is told on standard error.

    Raises ConfigErrors where what it takes is what is wrong.
    """
    from vitalsd.settings.load import find_config, load_for_asking
    from vitalsd.settings.problems import ConfigErrors

    if missing := _no_file(args):
        raise ConfigErrors(missing)
    settings, problems = load_for_asking(find_config(args.config, os.environ), os.environ, _overrides(args))
    if problems:
        told = "\n".join(map(str, problems))
        note = "the configuration is wrong, and the agent is asked by what can be read of it"
        print(f"{told}\nnote: {note}", file=sys.stderr)
    return settings


def settings_to_look(args: argparse.Namespace, *, strictly: bool = False) -> Settings:
    """What it takes to show people what there is; `strictly` of the agent that is named, or of the usual one."""
    settings = settings_to_ask(args)
    return settings if strictly else instead(settings)


def instead(settings: Settings) -> Settings:
    """
    The same, or those of the only other agent, where the usual one is not there: standard error says so.

    For people who look. Nothing may be changed of an agent that nobody has named, and no program be told of it.
    """
    from vitalsd.cli.nearby import nearby

    found = nearby(settings)
    if found is not settings:
        usual, other = settings.exporters.control.listen, found.exporters.control.listen
        told = f"no agent on {usual}: asked the only one there is, on {other} (--control-listen)"
        print(f"note: {told}", file=sys.stderr)
    return found


def _no_file(args: argparse.Namespace) -> list[Problem]:
    from vitalsd.settings.problems import FLAG, Place, Problem

    return [Problem(Place(FLAG, "--config"), 'expected a file, got ""')] if args.config == "" else []


def _overrides(args: argparse.Namespace) -> list[Override]:
    from vitalsd.settings.load import Override

    return [
        Override("--" + name.replace("_", "-"), key, str(getattr(args, name)))
        for name, key in KEYS.items()
        if getattr(args, name, None) is not None
    ]


def _problems_of(target: Mapping[str, object]) -> list[Problem]:
    """What is wrong with the options that describe a target, each blamed by its own name."""
    from vitalsd.settings.keys import Leaf, fields
    from vitalsd.settings.layer import Layer
    from vitalsd.settings.model import Target
    from vitalsd.settings.problems import FLAG, Place, Problem

    problems: list[Problem] = []
    for option, value in target.items():
        layer = Layer(Place(FLAG, f"--{option}"))
        field = fields(Target)[option]
        assert isinstance(field, Leaf)
        if value == "":
            problems.append(Problem(layer.whole, f'expected {field.words}, got ""'))
        else:
            layer.read_text(str(value), field, (option,))
        problems += layer.problems
    return problems


def refuse_unwatchable(pid: int) -> None:
    """Say why a pid cannot be watched, if it cannot."""
    try:
        owner = Path(f"/proc/{pid}").stat().st_uid
    except OSError:
        raise UsageError(f"No process has pid {pid}: it is gone, or in another pid namespace.") from None
    if owner != os.geteuid() and os.geteuid() != 0 and not _may_trace():
        raise UsageError(
            f"Process {pid} belongs to uid {owner} and this is uid {os.geteuid()}: "
            f"run vitalsd as uid {owner}, as root, or with CAP_SYS_PTRACE."
        )


def _may_trace() -> bool:
    """Whether this process has the capability to look into those of other users."""
    try:
        status = Path("/proc/self/status").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return False
    found = re.search(r"^CapEff:\s*([0-9a-fA-F]+)$", status, re.MULTILINE)
    return found is not None and bool(int(found[1], 16) & CAP_SYS_PTRACE)
