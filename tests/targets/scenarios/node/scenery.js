// What every scenario shares: a loop that waits, stalls of known cause and length, and a file that tells the truth.
//
// A scenario calls `play(stall)` with a function that stalls the loop once, and may answer, or promise, when that
// began and ended. It is called $STALLS times (8), $PAUSE_SECONDS (0.9) apart. $TRUTH gets a JSON line for each:
// `began` (CLOCK_MONOTONIC), `seconds`, `cause`, `culprit`. `ready` is printed when the loop runs, `done` at the
// end; with $LINGER it goes on until its input ends.
"use strict";
const fs = require("fs");

const STALLS = Number(process.env.STALLS || "8");
const PAUSE_SECONDS = Number(process.env.PAUSE_SECONDS || "0.9");
const [SHORTEST, LONGEST] = (process.env.STALL_SECONDS || "0.12 0.8").split(" ").map(Number);
const BEFORE_SECONDS = 2.0;
const BEAT_MS = 20;

/** CLOCK_MONOTONIC in seconds, as Python's time.monotonic() has it. */
function now() {
  return Number(process.hrtime.bigint()) / 1e9;
}

/** Compute for so long. */
function spin(seconds) {
  const end = now() + seconds;
  while (now() < end);
}

function sleep(seconds) {
  return new Promise((resolve) => setTimeout(resolve, seconds * 1000));
}

/** The same numbers between 0 and 1 at each start. */
function chance(seed) {
  let state = seed;
  return () => (state = (state * 1103515245 + 12345) % 2147483648) / 2147483648;
}

/** This environment without what would bring a probe into a helper. */
function plainEnvironment() {
  const { NODE_OPTIONS, ...rest } = process.env;
  return rest;
}

/** Stall once, from a callback of the loop's own; the truth of it. */
function stallOnce(stall, seconds) {
  return new Promise((resolve, reject) => {
    setTimeout(() => {
      const began = now();
      const told = stall(seconds);
      const ended = now();
      Promise.resolve(told).then((span) => resolve(span || { began, ended }), reject);
    }, PAUSE_SECONDS * 1000);
  });
}

async function perform(stall, cause, culprit) {
  const truth = cause && process.env.TRUTH ? process.env.TRUTH : null;
  const beat = setInterval(() => {}, BEAT_MS);
  const uniform = chance(7);
  console.log("ready", process.pid);
  await sleep(BEFORE_SECONDS);
  for (let count = 0; count < STALLS; count++) {
    const { began, ended } = await stallOnce(stall, SHORTEST + (LONGEST - SHORTEST) * uniform());
    if (truth) {
      const line = { began, seconds: ended - began, cause, culprit: culprit || null };
      fs.appendFileSync(truth, JSON.stringify(line) + "\n");
    }
  }
  await sleep(PAUSE_SECONDS);
  console.log("done");
  if (process.env.LINGER) await new Promise((resolve) => process.stdin.once("end", resolve).resume());
  clearInterval(beat);
  process.exit(0);
}

/** Run the scenario; without a cause it is a healthy control, and there is nothing to tell. */
function play(stall, cause, culprit) {
  setImmediate(() => perform(stall, cause, culprit));
}

module.exports = { chance, now, plainEnvironment, play, sleep, spin };
