"""
An asyncio service that never lets go of something: of class instances in a dict (`sessions`), of closures
(`closures`), of listeners (`listeners`), or of tasks that wait for ever (`tasks`); of instances that closures
(`captured`), a class (`class`), a queue (`queue`) or a coroutine (`local`) have. Some 5000 a second, or as many as
the second argument says.
"""

import asyncio
import sys
from collections import deque

SESSIONS = {}
CALLBACKS = []
QUEUE = deque()


class Registry:
    known = set()  # noqa: RUF012 - as services have it


class Session:
    def __init__(self, number):
        self.number = number
        self.name = "session %d" % number
        self.seen = [number]


class Emitter:
    def __init__(self):
        self.listeners = []


class Page:
    def on_change(self):
        pass


EMITTER = Emitter()


def remember(number):
    def again():
        return number

    return again


async def never_answered(event):
    await wait_for_answer(event)


async def wait_for_answer(event):
    await event.wait()  # here


async def main(what, a_second):
    tasks, local = set(), []
    page, never = Page(), asyncio.Event()
    print("ready", flush=True)
    for number in range(10**9):
        if what == "sessions":
            SESSIONS[number] = Session(number)
        elif what == "closures":
            CALLBACKS.append(remember(number))
        elif what == "listeners":
            EMITTER.listeners.append(page.on_change)
        elif what == "captured":
            CALLBACKS.append(remember(Session(number)))
        elif what == "class":
            Registry.known.add(Session(number))
        elif what == "queue":
            QUEUE.append(Session(number))
        elif what == "local":
            local.append(Session(number))
        else:
            tasks.add(asyncio.ensure_future(never_answered(never)))
        if number % 50 == 0:
            await asyncio.sleep(50 / a_second)


asyncio.run(main(sys.argv[1], int(sys.argv[2]) if len(sys.argv) > 2 else 5000))
