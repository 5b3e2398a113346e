// Full collections over a big heap, one after the other, as where memory has nearly run out; needs --expose-gc.
"use strict";
const { now, play } = require("./scenery.js");

const heap = Array.from({ length: 2000000 }, (_, number) => ({ number, next: null }));
for (let index = 1; index < heap.length; index++) heap[index].next = heap[(index * 7919) % heap.length];
exports.heap = heap; // else it would be garbage by now

function collect(seconds) {
  const began = now();
  const end = Date.now() + seconds * 1000;
  do global.gc();
  while (Date.now() < end);
  return { began, ended: now() };
}

play(collect, "gc_pause", null);
