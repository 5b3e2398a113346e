"""`vitalsd run`: starts a service with the probe inside and the agent beside it, and becomes the service."""

from __future__ import annotations

import argparse
import contextlib
import os
import shutil
import signal
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from vitalsd.cli.launching import LAUNCH, PRELOAD, launched, node_options
from vitalsd.cli.manual import Manual
from vitalsd.cli.memray_parts import own_memray
from vitalsd.cli.options import add_config_options, config_loader
from vitalsd.cli.output import tell
from vitalsd.errors import UsageError, VitalsdError
from vitalsd.probe.python.segment import in_memory

if TYPE_CHECKING:
    from vitalsd.settings.model import Settings

__all__ = ["LAUNCH", "PRELOAD", "Run", "node_options", "service_environment", "unstartable"]

SYSTEM_SEGMENTS = Path("/run/vitalsd")


class Run:
    """Start a service with the probe inside and the agent beside it.

    The service takes this process's place: it keeps the pid, the signals and the exit code. The agent is detached
    from it, cannot hold it up, and ends when it does.
    """

    name = "run"
    manual = Manual(
        examples={
            "vitalsd run -- uvicorn app:app": "the service, and an agent beside it",
            "vitalsd run --name shop -- node server.js": "under a name of its own",
        },
        codes={0: "that of the service, whatever it is"},
        read=(
            "README.md",
            "docs/configuration.md",
        ),
    )

    def prepare(self, parser: argparse.ArgumentParser) -> None:
        """Add the arguments."""
        parser.add_argument("--name", metavar="N", help="the target's name (default: the program's)")
        add_config_options(parser, "warning")
        parser.add_argument("service", nargs=argparse.REMAINDER, metavar="-- CMD ...", help="the service to start")

    def run(self, args: argparse.Namespace) -> int:
        """Start the agent, then become the service."""
        command = args.service[1:] if args.service[:1] == ["--"] else args.service
        if not command:
            raise UsageError("There is no command: write `vitalsd run -- uvicorn app:app`.")
        if shutil.which(command[0]) is None:
            raise UsageError(f"The command {command[0]} cannot be found or executed.")

        from vitalsd.cli.ports import check_ports
        from vitalsd.settings.problems import ConfigErrors
        from vitalsd.targets.rules import program_name
        from vitalsd_exporters.web.sockets import PortTakenError

        name = program_name(" ".join(command)) if args.name is None else args.name
        try:
            loaded = config_loader(args, name=name, pid=os.getpid())()
        except ConfigErrors as error:
            tell(error)
            tell(UsageError(f"{command[0]} was not started: mend this first, or start it without `vitalsd run`."))
            return error.exit_code
        settings = loaded.settings
        environment = service_environment(os.environ, name, settings)
        _prepare_segment_folder(environment)
        try:
            with contextlib.suppress(PortTakenError):  # the agent says so, and waits for them
                check_ports(settings)
        except VitalsdError as error:
            _say(f"vitalsd: {error} The service starts without an agent of its own.")
        else:
            _start_agent(args, name, quiet=loaded.source("log.level") == "default")
        _restore_signals()
        try:
            os.execvpe(command[0], command, environment)  # noqa: S606 - to become the service is the point
        except OSError as error:
            raise UsageError(f"Cannot execute {command[0]}: {error.strerror}.") from error


def _say(sentence: str) -> None:
    """On standard error, which is the service's: where it takes nothing, the service starts all the same."""
    with contextlib.suppress(OSError):
        os.write(2, f"{sentence}\n".encode("utf-8", "replace"))


def service_environment(environ: Mapping[str, str], name: str, settings: Settings) -> dict[str, str]:
    """The environment in which a Python or Node service arms the probe by itself."""
    environment = launched(environ, name, settings.stall.threshold, settings.sampling.segment_dir)
    memray = own_memray()
    if memray is not None:
        environment.setdefault("VITALSD_MEMRAY", memray)
    return environment


def _restore_signals() -> None:
    """Python ignores two signals that a program expects to end it, and exec hands that on."""
    for number in (signal.SIGPIPE, signal.SIGXFSZ):
        signal.signal(number, signal.SIG_DFL)


def _prepare_segment_folder(environment: Mapping[str, str]) -> None:
    """
    As root, have the folder of the system, so that an agent of any user finds the segments there.

    Where /run is on a disk, as in most containers, the probe's second place is better: it is in memory.
    """
    if "VITALSD_DIR" not in environment and os.geteuid() == 0:
        try:
            if in_memory(str(SYSTEM_SEGMENTS.parent)):
                SYSTEM_SEGMENTS.mkdir(mode=0o755, exist_ok=True)
        except OSError:
            return  # the probe has a second place to go


def _start_agent(args: argparse.Namespace, name: str, *, quiet: bool) -> None:
    """
    Start the agent as nobody's child; a quiet one logs what is wrong and no more.

    It gets a session of its own, so a terminal's signals are the service's alone, and none of the service's
    descriptors but standard error. It is forked twice, so the service never finds a child it did not start,
    and it does not look for modules in the service's folder (-P).
    """
    pid = os.getpid()
    arguments = [sys.executable, "-P", "-m", "vitalsd", "watch", "--pid", str(pid), "--until-exit", "--name", name]
    for option in ("config", "listen", "control_listen", "log_level", "log_format"):
        value = getattr(args, option)
        if value is not None:
            value = str(Path(value).resolve()) if option == "config" else value
            arguments += ["--" + option.replace("_", "-"), value]
    if quiet:  # the terminal, and the log of the container, are the service's
        arguments += ["--log-level", "warning"]
    middle = os.fork()
    if middle == 0:
        _become_agent(arguments)
    os.waitpid(middle, 0)


def unstartable(python: str, error: BaseException) -> str:
    """What was in the way, of whom and where, and what to do: `execv` tells no path."""
    if not isinstance(error, OSError) or error.filename is not None:
        return str(error)
    uid = os.geteuid()
    told = f"uid {uid} cannot execute {python} ({error.strerror})"
    if not isinstance(error, PermissionError):
        return told
    shut = next((each for each in reversed(Path(python).parents) if not os.access(each, os.X_OK)), None)
    where = (
        f"{shut} does not let that user pass" if shut is not None else "its file, or what it leads to, forbids it"
    )
    return (
        f"{told}, since {where}: install vitalsd where uid {uid} may read it, or start an agent beside it as root"
    )


def _become_agent(arguments: list[str]) -> None:
    try:
        os.setsid()
        if os.fork() != 0:
            os._exit(0)
        nothing = os.open(os.devnull, os.O_RDWR)
        os.dup2(nothing, 0)
        os.dup2(2, 1)
        os.closerange(3, min(65536, os.sysconf("SC_OPEN_MAX")))
        os.execv(arguments[0], arguments)  # noqa: S606 - to become the agent is the point
    except BaseException as error:  # noqa: BLE001 - whatever it is, this process must end here
        os.write(2, f"vitalsd: the agent cannot be started: {unstartable(arguments[0], error)}\n".encode())
    finally:
        os._exit(1)
