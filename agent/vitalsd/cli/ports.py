"""
The ports of an agent that ends with its service: taken when they are free, waited for until then.

A service that is restarted quickly meets the agent of its former life, which ends within a second; a second
service meets an agent that stays. Nobody can tell which until it is over, so the agent says once what is in the
way and what to do, tries again at ever longer pauses, and ends with its service. Waiting costs a process of
some 30 MiB that wakes twice a minute; of the daemon nothing is loaded yet.
"""

from __future__ import annotations

import os
import select
import signal
import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

import structlog

from vitalsd.cli.client import reachable
from vitalsd.cli.listeners import listener_pid
from vitalsd.model import OWN_TARGET, WorkerKey
from vitalsd.settings.model import Settings
from vitalsd.settings.storage import segment_dir
from vitalsd.targets.folder import SegmentFolder
from vitalsd.targets.places import default_folders
from vitalsd.targets.processes import has_gone
from vitalsd_exporters.web.sockets import PortTakenError, bind

__all__ = ["check_ports", "start_when_free"]

log = structlog.get_logger(__name__)
Thing = TypeVar("Thing")

FIRST_PAUSE_SECONDS = 1.0
LONGEST_PAUSE_SECONDS = 30.0
TOLD_AT = 2
"""A restart is over with the first pause, and no news."""
PROC = Path("/proc")
ONE_SERVICE = ("--pid", "--match")
ADVICE = (
    "give it ports of its own with --listen and --control-listen, or have one `vitalsd watch` watch every service "
    "of the host; the service runs meanwhile, and this agent tries again until the port is free"
)


def check_ports(settings: Settings) -> None:
    """Take both addresses and let go of them again; UsageError where that cannot be."""
    exporters = settings.exporters
    for listen, key in (
        (exporters.prometheus.listen, "exporters.prometheus.listen"),
        (exporters.control.listen, "exporters.control.listen"),
    ):
        for bound in bind(listen, key):
            bound.close()


def start_when_free(start: Callable[[], Thing], settings: Settings, service: WorkerKey) -> Thing | None:
    """What `start` makes, which takes the ports, as soon as it can; None when the service has ended before."""
    attempts = 0
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)  # there is no configuration yet to be read again
    try:
        for pause in _pauses():
            try:
                check_ports(settings)
                started = start()
            except PortTakenError as error:
                attempts += 1
                if attempts == TOLD_AT:
                    log.warning("ports_taken", reason=_why(error.listen, settings), advice=ADVICE)
            else:
                if attempts >= TOLD_AT:
                    log.warning("ports_free", reason="the agent has the ports that it waited for, and watches now")
                return started
            if _ends_within(service, pause):
                break
    finally:
        signal.signal(signal.SIGHUP, before)
    return None


def _pauses() -> Iterator[float]:
    pause = FIRST_PAUSE_SECONDS
    while True:
        yield pause
        pause = min(2 * pause, LONGEST_PAUSE_SECONDS)


def _ends_within(service: WorkerKey, seconds: float) -> bool:
    """Whether the service ends in that time, or has ended."""
    try:
        descriptor = os.pidfd_open(service.pid)
    except ProcessLookupError:
        return True
    except OSError:  # a kernel before 5.3
        time.sleep(seconds)
        return has_gone(PROC, service)
    try:
        if not has_gone(PROC, service):  # the pid is still the service's, so the descriptor is
            select.select((descriptor,), (), (), seconds)
    finally:
        os.close(descriptor)
    return has_gone(PROC, service)


def _why(listen: str, settings: Settings) -> str:
    """Who has the port, as far as that can be seen."""
    taken = f"cannot listen on {listen}, the port is already in use"
    pid = _holder(listen)
    if pid is None:
        return taken
    folder = SegmentFolder(lambda: default_folders(segment_dir(settings)))
    try:
        segment = folder.refresh(time.monotonic()).get(pid)
    finally:
        folder.close()
    if segment is None or segment.header.target != OWN_TARGET:
        return f"{taken} by process {pid}"
    options = _options(pid)
    if options.keys().isdisjoint(ONE_SERVICE):
        return (
            f"{taken} by an agent that reads the same segment folder (process {pid}): "
            "it may show this service already, see `vitalsd status`"
        )
    return f"{taken} by the agent of `{options.get('--name', 'service')}` (process {pid})"


def _holder(listen: str) -> int | None:
    host, port = reachable(listen)
    for *_, address in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM):
        pid = listener_pid(str(address[0]), port)
        if pid is not None:
            return pid
    return None


def _options(pid: int) -> dict[str, str]:
    """The options that an agent was started with, each with what stands behind it."""
    try:
        words = (PROC / str(pid) / "cmdline").read_bytes().decode("utf-8", "replace").split("\0")
    except OSError:
        return {}
    options: dict[str, str] = {}
    for word, following in zip(words, [*words[1:], ""], strict=True):
        option, equals, value = word.partition("=")
        if option.startswith("--"):
            options[option] = value if equals else following
    return options
