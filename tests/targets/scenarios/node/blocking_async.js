// A step of an async function that computes for long: it runs in the queue of microtasks, and is no flood of them.
"use strict";
const { now, play, spin } = require("./scenery.js");

async function priceEverything(seconds) {
  await null;
  const began = now();
  spin(seconds);
  return { began, ended: now() };
}

play(priceEverything, "blocking_cpu", "priceEverything");
