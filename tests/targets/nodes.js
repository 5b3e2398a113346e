// A Node service that does what its first argument names, some moments after it has said that it is ready.
"use strict";
const childProcess = require("child_process");
const fs = require("fs");

const AFTER_MS = Number(process.env.AFTER_MS ?? 1800);
const keep = setInterval(() => {}, process.argv[2].startsWith("rested") ? 3600e3 : 20);

function burn(milliseconds) {
  const end = process.hrtime.bigint() + BigInt(Math.round(milliseconds * 1e6));
  let turns = 0;
  while (process.hrtime.bigint() < end) turns++;
  return turns;
}

function handleRequest(milliseconds) {
  return burn(milliseconds);
}

function readSlowly(path) {
  return fs.readFileSync(path);
}

let handled;

/** How many seconds V8 has collected since, by Node's own observer, said once in a while. */
function tellCollections(milliseconds) {
  const { PerformanceObserver } = require("perf_hooks");
  let collecting = 0;
  const note = (list) => list.getEntries().forEach((entry) => (collecting += entry.duration / 1e3));
  new PerformanceObserver(note).observe({ entryTypes: ["gc"] });
  setInterval(() => console.log(`collecting ${collecting}`), milliseconds);
}

const scenes = {
  rest() {
    clearInterval(keep);
    setInterval(() => {}, 3600e3);
  },
  rested() {
    handleRequest(150);
    setTimeout(() => fs.readFile(__filename, () => handleRequest(250)), 1000);
  },
  restedChild() {
    childProcess.execSync("sleep 1.6");
  },
  block() {
    handleRequest(700);
  },
  again() {
    setInterval(() => handleRequest(600), 300);
  },
  child() {
    childProcess.execSync("sleep 0.5");
  },
  byTurns() {
    childProcess.execSync("sleep 0.13");
    setTimeout(() => handleRequest(200), 30);
    setTimeout(scenes.byTurns, 460);
  },
  fifo() {
    readSlowly(process.argv[3]);
  },
  ticks() {
    const end = performance.now() + 600;
    (function next() {
      if (performance.now() < end) process.nextTick(next);
    })();
  },
  promises() {
    const end = performance.now() + 600;
    (async function flood() {
      while (performance.now() < end) await null;
    })();
  },
  leave() {
    burn(400);
    process.exit(7);
  },
  reject() {
    Promise.reject(new TypeError("never shown"));
  },
  listen() {
    process.on("unhandledRejection", () => {});
    for (let index = 0; index < 3; index++) Promise.reject(new TypeError("never shown"));
  },
  once() {
    process.once("unhandledRejection", () => {});
    Promise.reject(new TypeError("never shown"));
    setTimeout(() => Promise.reject(new TypeError("the last")), 300);
  },
  restedRejects() {
    process.on("unhandledRejection", () => {});
    setInterval(() => Promise.reject(new TypeError("never shown")), 300);
  },
  fail() {
    throw new RangeError("never shown");
  },
  listeners() {
    const emitter = new (require("events"))();
    for (let index = 0; index < 11; index++) emitter.on("data", () => {});
  },
  crowd() {
    for (let index = 0; index < 10; index++) process.on("exit", () => {});
    for (let index = 0; index < 10; index++) process.on("unhandledRejection", () => {});
  },
  collect() {
    for (let index = 0; index < 3; index++) gc();
  },
  garbage() {
    tellCollections(200);
    const end = performance.now() + 1500;
    const kept = [];
    while (performance.now() < end) {
      for (let index = 0; index < 1000; index++) kept.push({ index });
      if (kept.length > 1e6) kept.length = 0;
    }
  },
  churn() {
    tellCollections(6000);
    setInterval(() => {
      for (let index = 0; index < 30000; index++) handled = { index };
    }, 1);
  },
  threads() {
    const { Worker } = require("worker_threads");
    new Worker("setInterval(() => { const end = Date.now() + 60; while (Date.now() < end); }, 200)", { eval: true });
  },
};

console.log("ready");
setTimeout(() => {
  console.log("now");
  scenes[process.argv[2]]();
  console.log("done");
}, AFTER_MS);
