// A full collection over a big heap; needs --expose-gc.
"use strict";
const { now, play } = require("./scenery.js");

const heap = Array.from({ length: 1200000 }, (_, number) => ({ number, next: null }));
for (let index = 1; index < heap.length; index++) heap[index].next = heap[(index * 7919) % heap.length];

exports.heap = heap; // else it would be garbage by now

function collect() {
  const began = now();
  global.gc();
  return { began, ended: now() };
}

play(collect, "gc_pause", null);
