// A healthy control: a worker thread that computes all the time, beside a main thread that waits for it.
"use strict";
const { Worker } = require("worker_threads");
const { play } = require("./scenery.js");

const PROGRAM = `
const { parentPort } = require("worker_threads");
function work() {
  const end = Date.now() + 700;
  while (Date.now() < end);
  parentPort.postMessage("a part is done");
  setImmediate(work);
}
work();
`;

const worker = new Worker(PROGRAM, { eval: true });
worker.on("message", () => {});
play(() => {});
