"""`vitalsd budget`: runs a command with the probe inside, and fails where it or its children exceed a budget."""

from __future__ import annotations

import argparse
import os
import re
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, TextIO, TypeVar

from vitalsd.cli.launching import launched
from vitalsd.cli.manual import Manual
from vitalsd.cli.output import CannotWriteError, tell
from vitalsd.errors import UsageError

if TYPE_CHECKING:
    from vitalsd.budget.model import Limits, ProcessRun, Report

__all__ = ["Budget", "limits_of"]

T = TypeVar("T")
DEFAULT_STALL = "100ms"
LEAST_THRESHOLD_SECONDS = 0.02
"""What a probe can tell one by one."""
HELP_AFTER = "leave out what each process does in so much of its life: its start, its warm-up"


class Budget:
    """Run a command, and fail when a loop, a heap or errors exceed a budget.

    The command may be a test suite, a load test or a script that starts a service and loads it: it is judged
    together with all that it starts. Its own exit code is kept where it fails; else 1 is a budget that was
    exceeded, and 2 one that could not be judged. With no budget at all, --max-stall 100ms is meant.
    """

    name = "budget"
    manual = Manual(
        {
            "vitalsd budget --max-stall 100ms -- pytest -q": "a test suite, with all that it starts",
            "vitalsd budget --p99-delay 20ms --after 5s -- ./load-test.sh": "a service and its load",
            "vitalsd budget --junit vitalsd.xml -- npm test": "a report that a CI shows",
        },
        {
            0: "the command ended with 0, and all budgets were kept",
            1: "the command ended with 0, and a budget was exceeded",
            2: "a budget could not be judged, or the options are wrong",
            126: "the command cannot be executed",
            127: "the command cannot be found",
            "any other": "the command's own; 128 and the signal's number, if one ended it",
        },
        ("docs/ci.md",),
    )

    def prepare(self, parser: argparse.ArgumentParser) -> None:
        """Add the arguments."""
        parser.add_argument("--max-stall", metavar="D", help=f"the longest stall of any loop ({DEFAULT_STALL})")
        parser.add_argument(
            "--p99-delay", metavar="D", help="the 99th percentile of each loop's delay over the run"
        )
        parser.add_argument("--max-growth", metavar="S", help="by how much each process's heap may grow, as 20MiB")
        parser.add_argument("--max-errors", metavar="N", help="unhandled errors of all processes together")
        parser.add_argument("--after", metavar="D", default="0s", help=HELP_AFTER)
        parser.add_argument("--match", metavar="RE", help="judge only processes whose command line matches")
        parser.add_argument(
            "--allow-empty", action="store_true", help="a budget is good if there is nobody to judge by it"
        )
        parser.add_argument("--json", metavar="FILE", help="write the report as JSON; - for standard output")
        parser.add_argument("--junit", metavar="FILE", help="write the report as JUnit's XML")
        parser.add_argument("--verbose", "-v", action="store_true", help="tell what is within its budget too")
        parser.add_argument("service", nargs=argparse.REMAINDER, metavar="-- CMD ...", help="the command to run")

    def run(self, args: argparse.Namespace) -> int:
        """Run the command, judge, report."""
        command = args.service[1:] if args.service[:1] == ["--"] else args.service
        if not command:
            raise UsageError("There is no command: write `vitalsd budget --max-stall 100ms -- pytest`.")
        limits = limits_of(args)
        match = _pattern(args.match)
        for option in ("json", "junit"):
            _refuse_unwritable(option, getattr(args, option))
        from vitalsd.budget.folder import run_folder

        with run_folder() as segments:
            return _run(args, command, limits, match, segments)


def _run(
    args: argparse.Namespace, command: list[str], limits: Limits, match: re.Pattern[str] | None, segments: Path
) -> int:
    from vitalsd.budget.child import Child, CommandError

    threshold = _threshold(limits)
    sys.stdout.flush()
    started_at, began = time.time(), time.monotonic()
    try:
        environment = launched(os.environ, "budget", threshold, str(segments))
        child = Child(command, {**environment, "VITALSD_WHOLE_LIFE": "1"})
    except CommandError as error:
        tell(error)
        return error.exit_code
    # What follows takes a fifth of a second to load, and the command need not wait for it.
    finish, problem = _recording(segments, limits, threshold, match)
    exit_code = child.wait()
    seconds = time.monotonic() - began
    processes, late_problem = finish()

    from vitalsd.budget.judge import judge
    from vitalsd.budget.model import Run
    from vitalsd.targets.scrub import scrub

    run = Run(scrub(command), started_at, seconds, exit_code, processes, problem or late_problem)
    report = judge(run, limits, allow_empty=args.allow_empty)
    return _told(args, report, limits)


def _recording(
    folder: Path, limits: Limits, threshold: float, match: re.Pattern[str] | None
) -> tuple[Callable[[], tuple[tuple[ProcessRun, ...], str]], str]:
    """Begin; the answer is how to end, and why it has not begun. The command's code counts whatever goes wrong."""
    try:
        from vitalsd import log  # isort: skip - before structlog, or rich comes along
        from vitalsd.budget.recorder import Recorder

        log.configure("error", "auto")
        recorder = Recorder(folder, limits, threshold, match)
        recorder.start()
    except Exception as error:  # noqa: BLE001 - as above
        problem = f"nothing was recorded: {type(error).__name__}: {error}"
        return lambda: ((), ""), problem
    return lambda: (recorder.finish(), recorder.problem), ""


def _told(args: argparse.Namespace, report: Report, limits: Limits) -> int:
    """Write and print everything; the answer is the exit code, which no reader changes by going."""
    from vitalsd.budget.annotations import annotated
    from vitalsd.budget.document import document
    from vitalsd.budget.junit import junit
    from vitalsd.budget.text import lines

    code = report.exit_code
    try:  # files first: whoever reads the rest may have gone
        if args.json not in (None, "-"):
            _write(args.json, document(report, limits))
        if args.junit is not None:
            _write(args.junit, junit(report, str(Path.cwd())))
    except UsageError as error:
        tell(error)
        code = code or error.exit_code
    said = list(lines(report, verbose=args.verbose))
    if os.environ.get("GITHUB_ACTIONS") == "true":  # it reads both streams, and standard output is the command's
        said += annotated(report, os.environ.get("GITHUB_WORKSPACE"), str(Path.cwd()))
    printed = [_print(sys.stderr, "".join(f"{line}\n" for line in said))]
    if args.json == "-":
        printed.append(_print(sys.stdout, document(report, limits).decode()))
    return code or (0 if all(printed) else UsageError.exit_code)


def _print(stream: TextIO, text: str) -> bool:
    """Whether there is nothing wrong with it: a reader that has gone is nothing, a disk that is full is told."""
    try:
        stream.write(text)
        stream.flush()
    except CannotWriteError as error:
        if error.is_gone:
            return True
        tell(error)
        return False
    return True


def limits_of(args: argparse.Namespace) -> Limits:
    """What was asked for, or the default; a UsageError says what makes no sense."""
    from vitalsd.budget.model import Limits
    from vitalsd.settings.units import parse_duration, parse_size

    options = (args.max_stall, args.p99_delay, args.max_growth, args.max_errors)
    max_stall = DEFAULT_STALL if options == (None,) * 4 else args.max_stall
    limits = Limits(
        max_stall_seconds=_read("--max-stall", max_stall, parse_duration),
        p99_delay_seconds=_read("--p99-delay", args.p99_delay, parse_duration),
        max_growth_bytes=_read("--max-growth", args.max_growth, parse_size),
        max_errors=_read("--max-errors", args.max_errors, _whole_number),
        after_seconds=_read("--after", args.after, parse_duration) or 0.0,
    )
    _refuse_too_fine(limits)
    return limits


def _refuse_too_fine(limits: Limits) -> None:
    """Say which limits are below what is measured."""
    from vitalsd.probe.python.layout import DELAY_BOUNDS_SECONDS

    least = f"{LEAST_THRESHOLD_SECONDS * 1000:.0f}ms"
    if limits.max_stall_seconds is not None and limits.max_stall_seconds < LEAST_THRESHOLD_SECONDS:
        raise UsageError(
            f"--max-stall is below {least}, and shorter stalls are not told one by one: use --p99-delay."
        )
    p99 = limits.p99_delay_seconds
    if p99 is not None and p99 < LEAST_THRESHOLD_SECONDS and p99 not in DELAY_BOUNDS_SECONDS:
        told = ", ".join(f"{1000 * bound:g}ms" for bound in DELAY_BOUNDS_SECONDS if bound in (0.001, 0.005, 0.01))
        raise UsageError(f"--p99-delay below {least} is one of {told}: the histogram tells no others apart.")


def _read(option: str, text: str | None, parse: Callable[[str], T]) -> T | None:
    if text is None:
        return None
    try:
        return parse(text)
    except ValueError as error:
        raise UsageError(f"{option} {text!r}: {error}.") from None


def _whole_number(text: str) -> int:
    if re.fullmatch(r"[0-9]{1,9}", text, re.ASCII) is None:
        raise ValueError("expected a whole number")
    return int(text)


def _pattern(text: str | None) -> re.Pattern[str] | None:
    try:
        return re.compile(text) if text is not None else None
    except re.error as error:
        raise UsageError(f"--match {text!r} is no regular expression: {error}.") from None


def _threshold(limits: Limits) -> float:
    """What counts as a stall for the probes: whatever a budget may have to know one by one."""
    given = [limit for limit in (limits.max_stall_seconds, limits.p99_delay_seconds) if limit is not None]
    return max(LEAST_THRESHOLD_SECONDS, min(given, default=0.1))


def _refuse_unwritable(option: str, name: str | None) -> None:
    """Before the command runs for an hour."""
    if name is None or (name == "-" and option == "json"):
        return
    path = Path(name)
    where = path if path.exists() else path.parent
    if not name or path.is_dir() or not where.exists() or not os.access(where, os.W_OK):
        raise UsageError(f"--{option} {name}: that file cannot be written.")


def _write(name: str, content: bytes) -> None:
    """Whole or not at all, where it is a file."""
    path = Path(name)
    try:
        if path.exists() and not path.is_file():
            path.write_bytes(content)
            return
        aside = path.with_name(f".{path.name}.{os.getpid()}")
        aside.write_bytes(content)
        aside.replace(path)
    except OSError as error:
        raise UsageError(f"{name} cannot be written: {error.strerror}.") from None
