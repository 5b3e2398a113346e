// A step of an async function that computes for long: it runs in the queue of microtasks, and is no flood of them.
"use strict";
const { now, play } = require("./scenery.js");

async function priceEverything(seconds) {
  await null;
  const began = now();
  const end = Date.now() + seconds * 1000;
  let total = 0;
  while (Date.now() < end) {
    for (let number = 0; number < 2000; number++) total += number * number;
  }
  return { began, ended: now() };
}

play(priceEverything, "blocking_cpu", "priceEverything");
