"""
`children.py spawn|fork N`: a master without a loop and N children by multiprocessing that run asyncio.

A child that dies is replaced, as a supervisor does it. With `asks` behind N it waits for a line on standard input
each time before it starts what is missing.
"""

import asyncio
import multiprocessing.connection
import sys


async def linger():
    await asyncio.sleep(3600)


def work():
    asyncio.run(linger())


def main(method, count, *asks):
    context = multiprocessing.get_context(method)
    children = []
    while True:
        if asks:
            sys.stdin.readline()
        while len(children) < int(count):
            child = context.Process(target=work, daemon=True)
            child.start()
            children.append(child)
        ended = multiprocessing.connection.wait([child.sentinel for child in children])
        for child in children:
            if child.sentinel in ended:
                child.join()  # its pipe closes a moment before it can be told that it is dead
        children = [child for child in children if child.is_alive()]


if __name__ == "__main__":
    main(*sys.argv[1:])
