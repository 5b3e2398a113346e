'use strict';
/* The probe in a thread that the service has started: its loop is one more of the process. */

const { AT, Part } = require('./board');
const { Collections } = require('./collections');
const { cpuReader, threadId } = require('./cpu');
const { LOOPS } = require('./layout.json');
const { Meter } = require('./meter');
const { thresholdSeconds } = require('./active');

/** Start it, if there is room for another loop. */
function start(memory) {
  for (let slot = 1; slot < LOOPS; slot++) {
    const part = new Part(memory, slot);
    if (part.claim() || part.reclaim()) {
      measure(part);
      return;
    }
  }
}

function measure(part) {
  part.write((words) => {
    words[AT.used] = 1;
    words[AT.threadId] = threadId();
  });
  const parts = [];
  const end = () => {
    for (const each of parts) each.stop();
    part.release();
  };
  const collections = new Collections(part);
  const meter = new Meter(part, { threshold: thresholdSeconds(), cpu: cpuReader(), collections, failed: end });
  parts.push(meter, collections);
  meter.start();
  process.on('exit', end);
}

module.exports = { start };
