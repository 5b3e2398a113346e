// Stops in the middle of turns of its loop: tells where and when (CLOCK_MONOTONIC), and waits for a byte of input.
"use strict";
const fs = require("fs");

function now() {
  return Number(process.hrtime.bigint()) / 1e9;
}

function stop(name) {
  console.log(`${name} ${now()}`);
  fs.readSync(0, Buffer.alloc(1));
}

setTimeout(() => {
  stop("first");
  setTimeout(() => {}, 1e6); // libuv looks at its clock
  stop("same");
  setTimeout(() => stop("later"), 1);
}, 50);
