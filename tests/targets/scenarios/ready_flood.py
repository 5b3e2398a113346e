"""Thousands of short callbacks made ready at once: each is fast, the last waits for all."""

import asyncio
import time

from scenery import play


def serve_one_client():
    total = 0
    for number in range(500):
        total += number


def serve_two_clients():
    serve_one_client()
    serve_one_client()


def serve_three_clients():
    serve_two_clients()
    serve_one_client()


KINDS = (serve_one_client, serve_two_clients, serve_three_clients)


def cost():
    began = time.perf_counter()
    for kind in KINDS * 100:
        kind()
    return (time.perf_counter() - began) / 100 / len(KINDS)


async def wake_everybody(seconds):
    loop = asyncio.get_running_loop()
    count = int(seconds / cost())
    for number in range(count):
        loop.call_soon(KINDS[number % len(KINDS)])
    done = loop.create_future()
    began = time.monotonic()
    loop.call_soon(lambda: done.set_result(time.monotonic()))
    return began, await done


play(wake_everybody, "ready_flood", None)
