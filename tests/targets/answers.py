"""
Answers every line that comes in at a port, and never forgets who asked.

`answers.py WHAT [FOLDER]`: `plain`; `profiles`, with a profile function of its own; `threads`, beside 200 that
wait. The line `fork` is answered with what a forked child says of itself; `close` closes every descriptor that it
does not know and opens files in FOLDER under their numbers, `untouched` tells how many of them are still empty;
`exit` ends it.
Prints `ready PORT`.
"""

import asyncio
import os
import sys
import threading

WHAT = sys.argv[1]
asked = {}
mine, servers = [], []


class Asked:
    def __init__(self, line):
        self.line = line
        self.words = [line] * 40


def remember(line):
    asked[len(asked)] = Asked(line)  # here it leaks


def fork():
    """What the child says of itself: whether it is still profiled, and how a thread of its own went."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            for _ in range(1000):
                remember("child")
            thread = threading.Thread(target=remember, args=("thread",), name="of the child")
            thread.start()
            thread.join()
            profiled = (sys.getprofile(), threading._profile_hook, "_name" in threading.Thread.__dict__)
            os.write(writing, repr(profiled).encode())
        finally:
            os._exit(0)
    os.close(writing)
    said = os.read(reading, 1000).decode()
    os.close(reading)
    os.waitpid(child, 0)
    return said


def close(keep):
    for descriptor in range(3, 256):
        if descriptor not in keep:
            try:
                os.close(descriptor)
            except OSError:
                pass
    for number in range(64):
        path = os.path.join(sys.argv[2], str(number))
        mine.append(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
    return "closed"


def untouched():
    return repr(all(os.fstat(descriptor).st_size == 0 for descriptor in mine) and len(mine))


async def answer(reader, writer):
    while True:
        line = (await reader.readline()).decode().strip()
        if not line:
            writer.close()
            return
        remember(line)
        if line == "fork":
            line = fork()
        elif line == "close":
            loop = asyncio.get_running_loop()
            sockets = [writer.get_extra_info("socket").fileno(), *(each.fileno() for each in servers[0].sockets)]
            line = close({loop._selector.fileno(), loop._ssock.fileno(), loop._csock.fileno(), *sockets})
        elif line == "untouched":
            line = untouched()
        elif line == "exit":
            writer.close()
            asyncio.get_running_loop().call_later(0.1, asyncio.get_running_loop().stop)
            return
        writer.write(line.encode() + b"\n")
        await writer.drain()


async def main():
    servers.append(await asyncio.start_server(answer, "127.0.0.1", 0))
    print("ready", servers[0].sockets[0].getsockname()[1], flush=True)


if WHAT == "profiles":
    sys.setprofile(lambda *_: None)
if WHAT == "threads":
    never = threading.Event()
    for _ in range(200):
        threading.Thread(target=never.wait, daemon=True).start()
loop = asyncio.new_event_loop()
loop.run_until_complete(main())
loop.run_forever()
