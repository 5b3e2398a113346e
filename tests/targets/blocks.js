// Says where it is, as V8 has it, and blocks there in a system call: `node blocks.js MODE FIFO`.
"use strict";
const { execSync, spawnSync } = require("child_process");
const { pbkdf2Sync } = require("crypto");
const fs = require("fs");
const vm = require("vm");
const { Worker, isMainThread, workerData } = require("worker_threads");
const [mode, fifo] = isMainThread ? process.argv.slice(2) : workerData;

function here() {
  const prepare = Error.prepareStackTrace;
  Error.stackTraceLimit = Infinity;
  Error.prepareStackTrace = (_, sites) =>
    sites
      .slice(2)
      .filter((site) => !site.isAsync())
      .map((site) => [site.getFunctionName() ?? "", site.getFileName() ?? ""]);
  const sites = new Error().stack;
  Error.prepareStackTrace = prepare;
  return sites;
}

function say() {
  const thread = Number(fs.readlinkSync("/proc/thread-self").split("/").pop());
  fs.writeSync(1, `ready ${JSON.stringify({ thread, frames: here() })}\n`);
}

function inFifo() {
  say();
  fs.readFileSync(fifo);
}

class Orders {
  static total(orders) {
    return orders.map((order) => new Orders(order).price);
  }
  constructor(order) {
    this.order = order;
  }
  get price() {
    return this.#rate(this.order);
  }
  #rate(order) {
    const ask = () => inFifo(order);
    return ask();
  }
}

async function later() {
  await null;
  await inner();
}

async function inner() {
  await new Promise((resolve) => setTimeout(resolve, 20));
  inFifo();
}

function* items() {
  yield 1;
  inFifo();
}

function deep(left) {
  return left === 0 ? inFifo() : 1 + deep(left - 1);
}

function nest(left, block) {
  JSON.stringify({ toJSON: () => (left === 0 ? block() : nest(left - 1, block)) });
}

function sum(numbers, block) {
  let total = 0;
  for (const number of numbers) total += number;
  if (block) inFifo();
  return total;
}

async function busy() {
  for (let i = 0; i < 2000; i++);
}

function script(name, source) {
  return vm.runInThisContext(source, { filename: name });
}

function crowd() {
  const names = Array.from({ length: 90 }, (_, i) => `local${i}`);
  const locals = names.map((name) => `let ${name} = inFifo;`).join("\n");
  const source = `(function crowded(inFifo) {\n${locals}\nconst all = () => [${names}];\ninFifo();\nreturn all;\n})`;
  script("/srv/crowded.js", source)(inFifo);
}

const modes = {
  fifo: () => inFifo(),
  exec: () => {
    say();
    execSync("exec sleep 100");
  },
  spawn: () => {
    say();
    spawnSync("sleep", ["100"]);
  },
  class: () => Orders.total([1]),
  async: () => later(),
  generator: () => [...items()],
  deep: () => deep(300),
  nested: () => nest(3, inFifo),
  old: () => {
    nest(30, () => "x".localeCompare("y"));
    for (let i = 0; i < 30; i++) nest(i, () => fs.existsSync(fifo));
    modes.exec();
  },
  hot: () => {
    const numbers = [1, 2, 3];
    for (let i = 0; i < 1e5; i++) sum(numbers, false);
    sum(numbers, true);
  },
  crowd,
  wide: () => script("/srv/größe-中.js", "// 中\n\n(function größe中(block) {\n  block();\n})")(inFifo),
  inferred: () => {
    const handlers = {};
    script("/srv/inferred.js", "(handlers, block) => {\n  handlers.onOrder = function () { block(); };\n}")(handlers, inFifo);
    handlers.onOrder();
  },
  eval: () => new Function("block", "block();")(inFifo),
  computes: () => {
    inFifo();
    say();
    pbkdf2Sync("secret", "salt", 2 ** 31 - 1, 64, "sha512");
  },
  javascript: () => {
    inFifo();
    say();
    for (;;);
  },
  spins: () => {
    say();
    (function spin() {
      for (;;);
    })();
  },
  hashes: () => {
    say();
    pbkdf2Sync("secret", "salt", 2 ** 31 - 1, 64, "sha512");
  },
  ticks: () => {
    say();
    process.nextTick(function again() {
      for (let i = 0; i < 2000; i++);
      process.nextTick(again);
    });
  },
  promises: async () => {
    say();
    for (;;) await busy();
  },
  collects: () => {
    const kept = Array.from({ length: 1e6 }, (_, number) => ({ number }));
    say();
    for (;;) gc(kept.length);
  },
  rests: () => say(),
  worker: () => new Worker(__filename, { workerData: ["fifo", fifo] }),
};

setTimeout(function tick() {
  setInterval(() => {}, 1000);
  modes[mode]();
}, 1);
