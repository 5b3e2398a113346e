'use strict';
/* The probe in a thread that the service has started: its loop is one more of the process. */

const { Part } = require('./board');
const { LOOPS } = require('./layout.json');
const { NOT_WATCHED } = require('./collections');
const { NOT_SEEN } = require('./doze');
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
  const end = () => {
    meter.stop();
    part.release();
  };
  const doze = NOT_SEEN;
  const meter = measure(part, { threshold: thresholdSeconds(), collections: NOT_WATCHED, doze, failed: end });
  meter.start();
  process.on('exit', end);
}

module.exports = { start };
