"""
A small shop for compose.yaml, with faults that are switched on and off over HTTP.

It knows nothing of vitalsd: the probe comes by PYTHONPATH. `curl localhost:8000` lists the faults.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

CRASHED = 70


def ask_old_database() -> None:
    """A driver that knows nothing of asyncio: the loop waits for its answer."""
    time.sleep(1.0)


def render_catalogue() -> None:
    """More computation than a loop should do at a time."""
    until = time.monotonic() + 0.5
    while time.monotonic() < until:
        sum(number * number for number in range(10_000))


@dataclass
class Cart:
    """What the shop keeps of a visit."""

    lines: list[str]


CARTS: list[Cart] = []


def keep_carts() -> None:
    """Carts that nobody ever takes out again, 1 MiB of them or so."""
    CARTS.extend(Cart([f"article {number} of {len(CARTS)}"]) for number in range(3_000))


async def send_receipt() -> None:
    """It fails, and nobody looks."""
    raise ConnectionError("the mail server is away")


LOOSE: set[asyncio.Task[None]] = set()


def forget_receipts() -> None:
    """Tasks that nobody waits for."""
    task = asyncio.create_task(send_receipt())
    LOOSE.add(task)
    task.add_done_callback(LOOSE.discard)


def crash() -> None:
    """The process ends at once."""
    os._exit(CRASHED)


@dataclass
class Fault:
    """Something that happens again and again while it is switched on."""

    what: str
    happens: Callable[[], None]
    every_seconds: float
    task: asyncio.Task[None] | None = field(default=None, repr=False)

    async def go_on(self) -> None:
        """Until it is switched off."""
        while True:
            self.happens()
            await asyncio.sleep(self.every_seconds)


FAULTS = {
    "block": Fault("each 5 s a call blocks the event loop for 1 s", ask_old_database, 4.0),
    "compute": Fault("each 2 s the event loop computes for 0.5 s", render_catalogue, 1.5),
    "leak": Fault("some 5 MiB a second are kept, until it is switched off", keep_carts, 0.2),
    "errors": Fault("five tasks a second fail, and nobody looks", forget_receipts, 0.2),
    "crash": Fault("the process ends, and compose starts it again", crash, 0.0),
}


async def home(_request: Request) -> JSONResponse:
    """What is sold here, and which faults are on."""
    faults = {name: {"on": fault.task is not None, "what": fault.what} for name, fault in FAULTS.items()}
    usage = "curl -X POST localhost:8000/faults/NAME switches one on, -X DELETE off"
    return JSONResponse({"articles": ["apples", "pears"], "usage": usage, "faults": faults})


async def switch(request: Request) -> JSONResponse:
    """Have a fault go on, or no more."""
    name = request.path_params["name"]
    fault = FAULTS.get(name)
    if fault is None:
        raise HTTPException(404, f"There is no fault {name}: {', '.join(FAULTS)}.")
    if fault.task is not None:
        fault.task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await fault.task
        fault.task = None
        if name == "leak":
            CARTS.clear()
    if request.method == "POST":
        fault.task = asyncio.create_task(fault.go_on(), name=name)
    return JSONResponse({name: "on" if fault.task is not None else "off"})


app = Starlette(routes=[Route("/", home), Route("/faults/{name}", switch, methods=["POST", "DELETE"])])
