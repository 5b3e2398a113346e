'use strict';
/* The probe in a thread that the service has started: its loop is one more of the process. */

const { Part } = require('./board');
const { LOOPS } = require('./layout.json');
const { measure, thresholdSeconds } = require('./measure');

/** Start it, if there is room for another loop. */
function start(memory) {
  for (let slot = 1; slot < LOOPS; slot++) {
    const part = new Part(memory, slot);
    if (part.claim() || part.reclaim()) {
      begin(part);
      return;
    }
  }
}

function begin(part) {
  const parts = [];
  const end = () => {
    for (const each of parts) each.stop();
    part.release();
  };
  const { collections, meter } = measure(part, thresholdSeconds(), end);
  parts.push(meter, collections);
  meter.start();
  process.on('exit', end);
}

module.exports = { start };
