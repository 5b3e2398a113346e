// What V8 holds a heap of MIB of small objects for, `heaps.js MIB`: as it begins a profile, and for a snapshot. Prints
// the heap in use, and of each the seconds that passed and those that its thread had a processor.
"use strict";

const fs = require("node:fs");
const { Session } = require("node:inspector");

const BYTES = Number(process.argv[2]) * 2 ** 20;
const PROFILES = 5;
const session = new Session();
const kept = [];

function post(method, given) {
  return new Promise((resolve, reject) => {
    session.post(method, given, (error, found) => (error ? reject(error) : resolve(found)));
  });
}

// On a host at rest both are alike.
async function taken(method, given) {
  const used = () => Number(fs.readFileSync("/proc/thread-self/schedstat", "latin1").split(" ", 1)[0]) / 1e9;
  const [began, before] = [performance.now(), used()];
  await post(method, given);
  return { held: (performance.now() - began) / 1e3, computed: used() - before };
}

async function main() {
  while (process.memoryUsage().heapUsed < BYTES) {
    for (let times = 0; times < 2000; times++) kept.push({ id: times, name: `order-${kept.length}`, lines: [times, times + 1] });
  }
  global.gc();
  session.connect();
  const told = { used: process.memoryUsage().heapUsed, profiles: [], snapshot: null, kept: kept.length };
  await post("Profiler.enable");
  for (let times = 0; times < PROFILES; times++) {
    told.profiles.push(await taken("Profiler.start"));
    await post("Profiler.stop");
  }
  session.on("HeapProfiler.addHeapSnapshotChunk", () => {});
  told.snapshot = await taken("HeapProfiler.takeHeapSnapshot", { reportProgress: false });
  console.log(JSON.stringify(told));
}

main();
