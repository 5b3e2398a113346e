'use strict';
/* What the loop of any thread is measured by: its meter, and what counts as late. */

const { AT } = require('./board');
const { cpuReader, threadId } = require('./cpu');
const { Meter } = require('./meter');

const THRESHOLD_SECONDS = 0.1;
const LEAST_THRESHOLD_SECONDS = 0.02;

/** The meter of this thread's loop, which takes the part, to be started. `failed` hears of what goes wrong in it. */
function measure(part, { threshold, collections, doze, failed }) {
  part.write((words) => {
    words[AT.used] = 1;
    words[AT.threadId] = threadId();
  });
  return new Meter(part, { threshold, cpu: cpuReader(), collections, doze, failed });
}

function thresholdSeconds(given = process.env.VITALSD_STALL_THRESHOLD) {
  const seconds = Number.parseFloat(given ?? '');
  return Number.isFinite(seconds) ? Math.max(LEAST_THRESHOLD_SECONDS, seconds) : THRESHOLD_SECONDS;
}

module.exports = { measure, thresholdSeconds };
