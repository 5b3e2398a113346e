"""
`vitalsd probe attach`: brings the probe into a Node service that runs already.

It is a person's decision and nobody else's: the agent never does it.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vitalsd.cli.client import ask
from vitalsd.cli.options import add_agent_options, settings_to_ask
from vitalsd.errors import UsageError, VitalsdError
from vitalsd.settings.model import Settings
from vitalsd.settings.storage import segment_dir

if TYPE_CHECKING:
    from vitalsd.attach.facts import Candidate

__all__ = ["Attach"]

PATIENCE_SECONDS = 10.0
PUBLISH_SECONDS = 10.0
LOOK_SECONDS = 0.05
DESCRIPTION = """Bring the probe into a Node service that runs already, without a restart.

SIGUSR1 has Node open its inspector on this machine; over it the probe is loaded, and the inspector is closed
again, all within some milliseconds. Node says so on the service's standard error, in five lines. What speaks
against it is looked for first, and then nothing is sent at all."""


class Attach:
    """Bring the probe into a Node service that runs already."""

    def prepare(self, parser: argparse.ArgumentParser) -> None:
        """Add the arguments."""
        parser.formatter_class = argparse.RawDescriptionHelpFormatter
        parser.description = DESCRIPTION
        parser.add_argument("place", nargs="?", metavar="TARGET[/WORKER]", help="this worker, else the first up")
        parser.add_argument("--pid", type=int, metavar="P", help="this process; needs no agent")
        parser.add_argument("--name", metavar="N", help="the target's name (default: TARGET, else the program's)")
        parser.add_argument(
            "--from",
            dest="folder",
            metavar="DIR",
            help="where `vitalsd probe install` has put the probe, as the service calls it (default: ours)",
        )
        parser.add_argument(
            "--force", action="store_true", help="also where it cannot be told whether it handles SIGUSR1 itself"
        )
        parser.add_argument(
            "--close", action="store_true", help="load nothing: close an inspector that was left open"
        )
        add_agent_options(parser)

    def run(self, args: argparse.Namespace) -> int:
        """Look, attach, and wait until the probe publishes."""
        from vitalsd.attach.attaching import Attaching
        from vitalsd.attach.facts import candidate_of
        from vitalsd.attach.places import probe_for

        settings = settings_to_ask(args)
        pid, target = _whom(args, settings)
        if args.close:
            print(_close(pid))
            return 0
        candidate = candidate_of(pid, settings)
        _refuse(candidate, force=args.force)
        arm = probe_for(pid, *_as_whom(pid), Path(args.folder) if args.folder else None)
        seconds = Attaching(candidate).attach(arm, _options(settings, args.name or target), PATIENCE_SECONDS)
        print(_told(pid, seconds, settings))
        return 0


def _whom(args: argparse.Namespace, settings: Settings) -> tuple[int, str | None]:
    """The process, and the name of its target where there is one."""
    if (args.place is None) == (args.pid is None):
        raise UsageError("Say whom to attach to: TARGET, TARGET/WORKER or --pid P, one of them.")
    if args.pid is not None:
        return int(args.pid), None
    name, _, slot = args.place.partition("/")
    targets: list[dict[str, Any]] = ask(settings, "/api/v1/targets")["targets"]
    found = next((target for target in targets if target["name"] == name), None)
    if found is None:
        known = ", ".join(target["name"] for target in targets) or "none"
        raise UsageError(f"The agent has no target `{name}`; it has: {known}.")
    workers = [worker for worker in found["workers"] if worker["up"] and slot in ("", worker["slot"])]
    if not workers:
        raise UsageError(f"No worker of `{args.place}` is up.")
    return int(workers[0]["key"]["pid"]), name


def _refuse(candidate: Candidate, *, force: bool) -> None:
    from vitalsd.attach.refusal import why_not

    refusal = why_not(candidate)
    if refusal is None or (refusal.unknown and force):
        return
    advice = (
        " `--force` attaches all the same: if it has a handler of its own, that runs." if refusal.unknown else ""
    )
    raise VitalsdError(refusal.sentence + advice)


def _as_whom(pid: int) -> tuple[int, list[int]]:
    """The user and the groups as whom a process opens files."""
    status = Path(f"/proc/{pid}/status").read_text(encoding="utf-8", errors="replace")
    fields = dict(line.partition(":")[::2] for line in status.split("\n"))
    return int(fields["Uid"].split()[1]), [int(fields["Gid"].split()[1]), *map(int, fields["Groups"].split())]


def _options(settings: Settings, target: str | None) -> dict[str, object]:
    """What the environment says to a service that is started with the probe."""
    given = {"folder": segment_dir(settings), "target": target, "threshold": settings.stall.threshold}
    return {name: value for name, value in given.items() if value is not None}


def _told(pid: int, seconds: float, settings: Settings) -> str:
    """The answer, once the probe publishes."""
    from vitalsd.attach.facts import segment_of

    until = time.monotonic() + PUBLISH_SECONDS
    while (segment := segment_of(pid, settings)) is None:
        if time.monotonic() > until:
            raise VitalsdError(
                f"Process {pid} was told to load the probe, and publishes nothing where this agent looks: it has "
                f"one already that is off, or cannot write there; `vitalsd doctor --pid {pid}` may say. Its "
                "inspector is closed."
            )
        time.sleep(LOOK_SECONDS)
    took = f"{seconds * 1e3:.0f} ms"
    return f"Process {pid} has the probe: {segment}. Its inspector is closed, {took} after the signal."


def _close(pid: int) -> str:
    """Close what an attach has left open."""
    from vitalsd.attach.attaching import close_inspector
    from vitalsd.attach.inspector import find_inspector

    process = Path(f"/proc/{pid}")
    try:
        inspector = find_inspector(process)
    except FileNotFoundError:
        raise UsageError(f"No process has pid {pid}: it is gone, or in another pid namespace.") from None
    except PermissionError:
        raise VitalsdError(
            f"Process {pid} may not be looked at by this user: run vitalsd as its user, or root."
        ) from None
    if inspector is None:
        return f"Process {pid} has no inspector open."
    close_inspector(process, inspector)
    return f"The inspector of process {pid} at {inspector.address} is closed."
