"""
One function per fault of the Python service: what is switched on, what must be seen of it from outside, and the
sentence for it. The first line of each says at a terminal what its fault is.
"""

from __future__ import annotations

from collections.abc import Callable
from http import HTTPStatus

from vitalsd.demo.scene import Scene
from vitalsd.model import ERROR_CHANNELS

__all__ = ["SCENES", "at_least", "crashed"]

DELAY = "vitals_eventloop_delay_seconds"
MEBIBYTE = 2**20
HEAP_SECONDS = 30.0
"""The probe measures the heap every 10 s, and heap and tasks less often while that is dear."""
LEAKED_BYTES = 20 * MEBIBYTE
LEAKED_TASKS = 500
PAUSED_SECONDS = 0.3
FLOOD_DELAY_SECONDS = 0.01
"""More than ten times what an idle loop reads."""


def show_block(scene: Scene) -> str:
    """Computing in the loop's thread: a stall with its culprit, a high delay, and traffic turned away."""
    scene.switch_on("block", 1)

    def turned_away() -> bool:
        return scene.agent.health(scene.target)[0] == HTTPStatus.SERVICE_UNAVAILABLE

    scene.wait_for(f"a 503 of /health/{scene.target}", turned_away)
    function = "parse_whole_catalogue"
    seconds = scene.wait_for(f"a stall in {function}()", lambda: scene.stalled(function))
    p99 = scene.quantile(0.99, DELAY)
    summary = scene.stall("blocking_cpu", function)
    return (
        f"{function}() held the loop for {seconds:.2f} s; p99 delay {p99:.2f} s; /health/{scene.target} answered "
        f'503; incident: "{summary}"'
    )


def show_sync_call(scene: Scene) -> str:
    """A synchronous call in a coroutine: it is named before it returns."""
    scene.switch_on("sync_call", 1)
    function = "ask_old_database"
    so_far = scene.wait_for(f"a stall in progress in {function}()", lambda: scene.stalls(function))
    seconds = scene.wait_for("the end of the stall", lambda: scene.stalled(function))
    summary = scene.stall("blocking_call", function)
    return (
        f"{function}() was named {so_far:.2f} s into the stall, while it lasted; in all it took {seconds:.2f} s; "
        f'incident: "{summary}"'
    )


def show_gc_storm(scene: Scene) -> str:
    """Full collections over many objects: pauses of generation 2."""
    pauses = "vitals_gc_pause_seconds"
    scene.switch_on("gc_storm", 3)
    scene.wait_for(
        f"{PAUSED_SECONDS:g} s of pauses of generation 2",
        lambda: scene.growth(f"{pauses}_sum", generation="2") >= PAUSED_SECONDS,
    )
    count = scene.growth(f"{pauses}_count", generation="2")
    total = scene.growth(f"{pauses}_sum", generation="2")
    longest = scene.quantile(1, pauses, generation="2")
    return (
        f"{count:.0f} full collections (generation 2) stopped the process for {total:.2f} s in all, "
        f"none for longer than {1000 * longest:.0f} ms"
    )


def show_ready_flood(scene: Scene) -> str:
    """Tasks that never wait: the loop turns, but whatever arrives waits for a whole turn."""
    scene.switch_on("ready_flood", 4)
    ready = scene.wait_for(
        "thousands of ready callbacks", lambda: at_least(1000, scene.value("vitals_eventloop_ready_callbacks"))
    )
    p99 = scene.wait_for("a delay that grows", lambda: at_least(FLOOD_DELAY_SECONDS, scene.quantile(0.99, DELAY)))
    return f"{ready:.0f} callbacks were ready at once; the loop turned, but p99 delay grew to {1000 * p99:.0f} ms"


def show_leak(scene: Scene) -> str:
    """A list that only grows: heap and resident memory grow with it."""
    heap, resident = "vitals_heap_used_bytes", "vitals_process_resident_memory_bytes"
    scene.switch_on("leak", 8)
    grown = scene.wait_for("growth of the heap", lambda: at_least(LEAKED_BYTES, scene.growth(heap)), HEAP_SECONDS)
    grown_resident = scene.wait_for("growth of memory", lambda: at_least(LEAKED_BYTES, scene.growth(resident)))
    now = scene.was(resident) + grown_resident
    return (
        f"the heap grew by {grown / MEBIBYTE:.0f} MiB; resident memory grew by "
        f"{grown_resident / MEBIBYTE:.0f} MiB, and is {now / MEBIBYTE:.0f} MiB now"
    )


def show_task_leak(scene: Scene) -> str:
    """Tasks that wait for ever: their number grows."""
    tasks = "vitals_eventloop_tasks"
    if scene.value(tasks) is None:
        return "the number of tasks is not known: the asyncio of this Python keeps its tasks out of sight"
    scene.switch_on("task_leak", 2)
    grown = scene.wait_for(
        "a growing number of tasks", lambda: at_least(LEAKED_TASKS, scene.growth(tasks)), HEAP_SECONDS
    )
    return f"tasks that are not done grew from {scene.was(tasks):.0f} to {scene.was(tasks) + grown:.0f}"


def show_error_surge(scene: Scene) -> str:
    """Errors that nobody handles, counted by the channel that told of them."""
    scene.switch_on("error_surge", 2)

    def counts() -> dict[str, float] | None:
        grown = {
            channel: scene.growth("vitals_unhandled_errors_total", channel=channel) for channel in ERROR_CHANNELS
        }
        return grown if all(grown[channel] > 0 for channel in ("task", "coroutine", "thread")) else None

    seen = scene.wait_for("errors in a task, a coroutine and a thread", counts)
    told = ", ".join(f"{channel} {count:.0f}" for channel, count in seen.items() if count)
    return f"{sum(seen.values()):.0f} errors that nobody handled, by channel: {told}"


def show_executor(scene: Scene) -> str:
    """Slow jobs in the default thread pool: all threads busy, the others queued."""
    scene.switch_on("executor", 5)

    def saturation() -> tuple[float, float, float] | None:
        names = ("vitals_executor_busy", "vitals_executor_threads", "vitals_executor_queued")
        busy, threads, queued = (scene.value(name) or 0.0 for name in names)
        return (busy, threads, queued) if busy and busy == threads and queued else None

    busy, threads, queued = scene.wait_for("a full pool with a queue", saturation)
    return f"{busy:.0f} of {threads:.0f} executor threads were busy, {queued:.0f} jobs queued for one"


def show_crash(scene: Scene) -> str:
    """A worker that dies: its slot is refilled, and the restart counted."""
    return crashed(scene, "crash")


def crashed(scene: Scene, fault: str) -> str:
    """Switch a fault on that ends the worker, and see the next one in its place."""
    restarts = "vitals_worker_restarts_total"
    dead = scene.worker()["key"]["pid"]
    scene.switch_on(fault, 1)

    def successor() -> int | None:
        return scene.replaced(dead) if scene.growth(restarts) else None

    pid = scene.wait_for("a new worker in the slot, and its restart", successor)
    return (
        f"slot {scene.slot} was refilled: process {pid} in the place of {dead}; "
        f"{restarts} went from {scene.was(restarts):.0f} to {scene.value(restarts):.0f}"
    )


# The leaks come before storm and flood, after which heap and tasks are dear to read, and are read less often.
SCENES: dict[str, Callable[[Scene], str]] = {
    "block": show_block,
    "sync_call": show_sync_call,
    "leak": show_leak,
    "task_leak": show_task_leak,
    "gc_storm": show_gc_storm,
    "ready_flood": show_ready_flood,
    "error_surge": show_error_surge,
    "executor": show_executor,
    "crash": show_crash,
}


def at_least(bound: float, value: float | None) -> float | None:
    """A value that has come to where it says something."""
    return value if value is not None and value >= bound else None
