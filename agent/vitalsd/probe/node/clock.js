'use strict';
/* CLOCK_MONOTONIC in seconds, as the agent has it; taken now, since a service may replace what is global later. */

const { performance } = require('node:perf_hooks');

const now = performance.now.bind(performance);
const base = Number(process.hrtime.bigint()) / 1e9 - now() / 1e3;

/** Seconds of CLOCK_MONOTONIC. */
function monotonic() {
  return base + now() / 1e3;
}

/** Seconds of CLOCK_MONOTONIC at what `performance.now()` calls `milliseconds`. */
function atPerformance(milliseconds) {
  return base + milliseconds / 1e3;
}

module.exports = { monotonic, atPerformance, performance };
