"""
Records the real seeds anew: `make fuzz-seeds`, where a layout or a format has changed. Takes some seconds.

A service of Python and one of Node run with the probe, and are asked for all that the agent asks them for. No path
of this machine is kept.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import re
import shutil
import sqlite3
import subprocess
import sys
import tempfile
import time
from array import array
from pathlib import Path

import msgspec
from support.captures import PROFILE, REFUSED
from support.probed import NODE, probed
from support.views import BLOCKING, KILLED, NOW, OVER
from support.waiting import wait_for

from fuzz.frame import SEEDS, joined
from fuzz.segment import sealed
from vitalsd.capture import database as captures
from vitalsd.capture.census import ask_probe
from vitalsd.capture.manifest import write_manifest
from vitalsd.capture.pyspy import find_pyspy
from vitalsd.history import database as history
from vitalsd.history.points import Point
from vitalsd.history.stalls import StallRow
from vitalsd.incidents import database as incidents
from vitalsd.model import WorkerKey
from vitalsd.probe.python import protocol
from vitalsd.probe.python.protocol import MAGIC, REQUEST, VERSION
from vitalsd.remedy import recyclings
from vitalsd.remedy.model import Recycling
from vitalsd.storage.boot import boot_id
from vitalsd.targets.slots import SlotRow

SHOP = """
import asyncio, concurrent.futures, gc, time

class Order:
    def __init__(self):
        self.lines = [object() for _ in range(20)]

async def fails():
    raise LookupError("no order")

async def waits():
    await asyncio.sleep(3600)

def parse(seconds):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        pass

async def main():
    pool = concurrent.futures.ThreadPoolExecutor(2, "orders")
    loop = asyncio.get_running_loop()
    kept = [asyncio.create_task(waits()) for _ in range(3)]
    orders = [Order() for _ in range(1000)]
    for number in range(4):
        loop.run_in_executor(pool, time.sleep, 0.3)
        task = asyncio.create_task(fails())
        await asyncio.sleep(0.05)
        del task
        gc.collect()
        parse(0.2)
    print("ready", flush=True)
    while True:
        await asyncio.sleep(0.1)
        parse(0.4)

asyncio.run(main())
"""
WEB = """
const server = require("http").createServer(() => {}).listen(0, "127.0.0.1", () => console.log("ready"));
class Order { constructor() { this.lines = new Array(20).fill({}) } }
globalThis.orders = Array.from({ length: 100 }, () => new Order());
process.on("unhandledRejection", () => {});
function parse(ms) { const end = Date.now() + ms; while (Date.now() < end) JSON.parse('{"a":[1,2,3]}'); }
setInterval(() => { Promise.reject(new TypeError("no order")); parse(300); }, 400);
"""
PROFILES = """
const { Session } = require("inspector"), session = new Session(), fs = require("fs");
session.connect();
const ask = (method, params) => new Promise((done, fail) =>
  session.post(method, params, (error, answer) => (error ? fail(error) : done(answer))));
class Order { constructor() { this.lines = new Array(20).fill(1) } }
const kept = [];
function handle() { for (let n = 0; n < 2000; n++) kept.push(new Order()); }
(async () => {
  await ask("Profiler.enable");
  await ask("HeapProfiler.startSampling", { samplingInterval: 32768 });
  await ask("Profiler.start");
  for (let n = 0; n < 5; n++) handle();
  fs.writeFileSync("cpu.json", JSON.stringify((await ask("Profiler.stop")).profile));
  fs.writeFileSync("allocations.json", JSON.stringify((await ask("HeapProfiler.stopSampling")).profile));
  require("v8").writeHeapSnapshot("heap.json");
})();
"""
MOST_NODES = 60
ANSWERS = {
    "census": REQUEST.pack(MAGIC, VERSION, protocol.CENSUS, 1, 8 << 20),
    "tasks": REQUEST.pack(MAGIC, VERSION, protocol.TASKS, 1, 0),
    "stacks": REQUEST.pack(MAGIC, VERSION, protocol.STACKS, 1, 0),
}
OF_PROC = ("stat", "status", "statm", "smaps_rollup", "schedstat", "limits", "syscall", "wchan", "comm", "cmdline")


def put(target: str, name: str, content: bytes) -> None:
    """One seed; a path of this machine in it would be told to everybody."""
    folder = SEEDS / target
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_bytes(content)


def plain(content: bytes) -> bytes:
    """Without this machine's paths."""
    places = {
        str(Path(__file__).parents[2]): "/srv/vitalsd",
        str(Path.cwd()): "/srv/shop",
        sys.base_prefix: "/usr",
    }
    for path, instead in places.items():
        content = content.replace(path.encode(), instead.encode())
    return re.sub(rb"/dev/shm/tmp\w+|/tmp/\w+", b"/srv/shop", content)


def unplaced(segment: bytes, folder: Path) -> bytes:
    """Without paths of this machine, in as many bytes."""
    for place, instead in ((str(folder), "/srv/shop/"), (sys.base_prefix, "/usr/lib/")):
        segment = segment.replace(place.encode(), instead.ljust(len(place), "p").encode())
    return sealed(segment)


def of_python(folder: Path) -> None:
    """Its segment, what /proc and py-spy say of it, and its probe's answers."""
    script = folder / "shop.py"
    script.write_text(SHOP)
    os.chdir(folder)
    with probed([str(script)], folder) as service:
        service.line()
        (path,) = wait_for("a segment of Python", lambda: list(folder.glob("python-*.seg")) or None)
        time.sleep(1.0)
        put("segment", "python.seg", unplaced(path.read_bytes(), folder))
        proc = Path(f"/proc/{service.pid}")
        read = {name: (proc / name).read_bytes() for name in OF_PROC}
        known = ("net/tcp", *OF_PROC)
        tables = {"net/tcp": b"\n".join((proc / "net/tcp").read_bytes().split(b"\n")[:6])}
        put("process", "python", joined({name: plain((read | tables)[name]) for name in known}))
        spy = [find_pyspy(), "dump", "--nonblocking", "--json", "--pid", str(service.pid)]
        put("pyspy", "dump.json", plain(subprocess.run(spy, capture_output=True, check=True).stdout))
        spy = [find_pyspy(), "record", "--nonblocking", "--format", "raw", "--threads", "--full-filenames"]
        spy += ["--rate", "50", "--duration", "2", "--pid", str(service.pid), "--output", str(folder / "raw")]
        subprocess.run(spy, capture_output=True, check=True)
        put("folded", "record.raw", plain((folder / "raw").read_bytes())[:8000])
        for name, request in ANSWERS.items():
            text = asyncio.run(ask_probe(Path(f"{path}.sock"), service.pid, request, 30.0))
            put("answers", name, plain(f"{name}\n{text[:6000]}".encode()))


def of_node(folder: Path) -> None:
    """Its segment, and what V8 makes of a program."""
    script = folder / "web.js"
    script.write_text(WEB)
    with probed([str(script)], folder) as service:
        service.line()
        time.sleep(1.5)
        (path,) = wait_for("a segment of Node", lambda: list(folder.glob("node-*.seg")) or None)
        put("segment", "node.seg", unplaced(path.read_bytes(), folder))
    (folder / "profiles.js").write_text(PROFILES)
    subprocess.run([NODE or "node", "profiles.js"], cwd=folder, check=True)
    put("cpuprofile", "cpu.json", plain((folder / "cpu.json").read_bytes()))
    put("allocations", "allocations.json", plain((folder / "allocations.json").read_bytes()))
    put("snapshot", "heap.json", small((folder / "heap.json").read_bytes()))


def small(snapshot: bytes) -> bytes:
    """The first nodes of a heap snapshot, with their own strings alone, laid out as V8 does."""
    whole = json.loads(snapshot)
    meta = whole["snapshot"]["meta"]
    width, name, count = len(meta["node_fields"]), meta["node_fields"].index("name"), MOST_NODES
    edges = meta["node_fields"].index("edge_count")
    nodes = [whole["nodes"][at : at + width] for at in range(0, count * width, width)]
    strings: dict[str, int] = {}
    for node in nodes:
        text = plain(whole["strings"][node[name]].encode()).decode()[:80]
        node[name] = strings.setdefault(text, len(strings))
        node[edges] = 1
    links = [[2, nodes[at][name], at * width] for at in range(count)]
    whole["snapshot"] |= {"node_count": count, "edge_count": count}

    def rows(key: str, lists: list[list[int]]) -> str:
        return f'"{key}":[' + "\n,".join(",".join(map(str, each)) for each in lists) + "\n]"

    parts = [
        '{"snapshot":' + json.dumps(whole["snapshot"], separators=(",", ":")),
        rows("nodes", nodes),
        rows("edges", links),
        '"trace_function_infos":[],\n"trace_tree":[],\n"samples":[],\n"locations":[]',
        '"strings":[' + ",\n".join(map(json.dumps, strings)) + "]}",
    ]
    return ",\n".join(parts).encode()


def of_stores(folder: Path) -> None:
    """Rows as agents write them, and a whole file."""
    stall = StallRow("shop", "0", 4242, 123_456, "blocking_cpu", 3, 1.25, NOW)
    slot = SlotRow("shop", 0, 4242, 123_456, {"oom": 1}, NOW, "shop", KILLED, (KILLED,))
    store = incidents.Database(folder / "incidents.db")
    store.write([BLOCKING, OVER], [stall], {("shop", "stall", "warning"): 3}, [slot])
    store.close()
    put("database", "incidents.db", (folder / "incidents.db").read_bytes())
    ledger = captures.Database(folder / "captures.db")
    ledger.write([captures.Entry(each, 1, False, "BOOT", 1.0, 2.0, 3.0) for each in (PROFILE, REFUSED)], ())
    ledger.close()
    past = history.Database(folder / "history.db")
    minutes = int(NOW) // 60
    sections = (
        array("q", [minutes, 1_782_900_000_000, 59, 90 << 20, 100 << 20, 0, 0, 512 << 20, 512 << 20]),
        array("q"),
    )
    past.add({("shop", "0"): sections})
    past.close()
    remedy = recyclings._Database(folder / "remedy.db")
    remedy.write([Recycling("1n4a", "shop", "0", "leak", BLOCKING.id, WorkerKey(4242, 9), "BOOT", "SIGTERM", NOW)])
    remedy.close()
    for kind in ("incidents", "captures", "history", "remedy"):
        put("rows", kind, rows_of(kind, folder / f"{kind}.db"))
    put("manifest", "capture.json", write_manifest(PROFILE))
    points = [Point(NOW + 60 * step, "shop", "0", NOW - 60, rss_anon=1e8 + step, fds=37.0) for step in range(5)]
    put("manifest", "points.jsonl", b"\n".join(map(msgspec.json.encode, points)))


def rows_of(kind: str, path: Path) -> bytes:
    """A file's rows, a line each, as `stores` has them."""
    lines = [kind]
    with contextlib.closing(sqlite3.connect(path)) as connection:
        tables = connection.execute("SELECT name FROM sqlite_schema WHERE type = 'table'").fetchall()
        for (table,) in tables:
            for row in connection.execute(f"SELECT * FROM {table}"):
                told = [[each.decode("latin-1")] if isinstance(each, bytes) else each for each in row]
                lines.append(json.dumps([table, told]).replace(boot_id(), "BOOT"))
    return "\n".join(lines).encode()


def main() -> int:
    """All of them."""
    here = Path.cwd()
    with tempfile.TemporaryDirectory(dir="/dev/shm") as name:
        of_python(Path(name))
        if shutil.which("node") is not None:
            of_node(Path(name))
        of_stores(Path(name))
        os.chdir(here)
    sys.stdout.write(f"{sum(1 for path in SEEDS.rglob('*') if path.is_file())} seeds lie in {SEEDS}\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
