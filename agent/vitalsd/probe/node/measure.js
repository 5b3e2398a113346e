'use strict';
/* What the loop of any thread is measured by: its meter, with the collections of its heap, and what counts as late. */

const { AT } = require('./board');
const { Collections } = require('./collections');
const { cpuReader, threadId } = require('./cpu');
const { Meter } = require('./meter');

const THRESHOLD_SECONDS = 0.1;
const LEAST_THRESHOLD_SECONDS = 0.02;

/** Take the part for this thread's loop; its meter is to be started. `failed` hears of what goes wrong in it. */
function measure(part, threshold, failed) {
  part.write((words) => {
    words[AT.used] = 1;
    words[AT.threadId] = threadId();
  });
  const collections = new Collections(part);
  return { collections, meter: new Meter(part, { threshold, cpu: cpuReader(), collections, failed }) };
}

function thresholdSeconds(given = process.env.VITALSD_STALL_THRESHOLD) {
  const seconds = Number.parseFloat(given ?? '');
  return Number.isFinite(seconds) ? Math.max(LEAST_THRESHOLD_SECONDS, seconds) : THRESHOLD_SECONDS;
}

module.exports = { measure, thresholdSeconds };
