"""
A worker of the demo service: HTTP/1.1 in plain asyncio, with a fault behind each path of `/fault/`.

Started by `vitalsd.demo.service`, one process and one loopback port each.
"""

from __future__ import annotations

import argparse
import asyncio
import math
import os
import signal
from urllib.parse import parse_qs, urlsplit

from vitalsd.demo.faults import FAULTS, MAX_SECONDS, Faults
from vitalsd.demo.lifeline import end_with_parent

__all__ = ["HOST", "respond"]

HOST = "127.0.0.1"
REQUEST_SECONDS = 5.0
WELCOME = """\
This is the demo shop, and process {pid} answers. Everything is fine, until you ask otherwise:

{faults}
/fault/calm
"""


def respond(faults: Faults, method: str, path: str) -> tuple[str, str]:
    """Status and text for one request."""
    url = urlsplit(path)
    if method != "GET":
        return "405 Method Not Allowed", "Only GET is understood.\n"
    if url.path == "/":
        names = "\n".join(f"/fault/{name}?seconds=4" for name in FAULTS)
        return "200 OK", WELCOME.format(pid=os.getpid(), faults=names)
    folder, _, name = url.path.rpartition("/")
    if folder == "/fault" and name == "calm":
        faults.calm()
        return "200 OK", "All faults are off.\n"
    if folder != "/fault" or name not in FAULTS:
        return "404 Not Found", f"There is no {url.path}: the faults are {', '.join(FAULTS)} and calm.\n"
    asked = parse_qs(url.query).get("seconds")
    if not asked:
        faults.switch_on(name)
        return "200 OK", f"The fault {name} is on.\n"
    try:
        seconds = float(asked[-1])
    except ValueError:
        seconds = math.nan
    if not 0 < seconds <= MAX_SECONDS:
        return "400 Bad Request", f"Give seconds above 0 and up to {MAX_SECONDS:g}.\n"
    faults.switch_on(name, seconds)
    return "200 OK", f"The fault {name} is on for {seconds:g} s.\n"


async def serve(port: int) -> None:
    """Answer requests until this process is ended."""
    faults = Faults()

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            async with asyncio.timeout(REQUEST_SECONDS):
                head = await reader.readuntil(b"\r\n\r\n")
            method, path, _ = head.decode("latin-1").split("\r\n", 1)[0].split(" ", 2)
            status, text = respond(faults, method, path)
        except (ValueError, asyncio.LimitOverrunError):
            status, text = "400 Bad Request", "This is no HTTP request.\n"
        except (OSError, EOFError):  # it went away, or took too long
            writer.close()
            return
        body = text.encode()
        writer.write(
            f"HTTP/1.1 {status}\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: {len(body)}\r\n"
            f"Worker-Pid: {os.getpid()}\r\nConnection: close\r\n\r\n".encode()
            + body
        )
        writer.close()

    server = await asyncio.start_server(answer, HOST, port)
    await server.serve_forever()


def main() -> None:
    """Serve on one port, for as long as the supervisor lives."""
    parser = argparse.ArgumentParser(description="A worker of the demo service.")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--parent", type=int, required=True, help="the supervisor's pid")
    args = parser.parse_args()
    # A worker may be stuck in one of its faults, so it is ended by force.
    end_with_parent(args.parent, signal.SIGKILL)
    asyncio.run(serve(args.port))


if __name__ == "__main__":
    main()
