'use strict';
/*
Waits until a process is worth watching, and then starts the rest: in the main thread the watchdog, in every thread
with a loop a meter.

Threads that the service starts later find the shared memory in their environment data; the watchdog is a thread as
well, and is told apart by its own data.

A process that runs already, and that somebody attaches to, is worth it at once: then `given` says what the
environment says to others. So is any where all of its life counts, as `vitalsd budget` sets it (VITALSD_WHOLE_LIFE).
*/

const { isMainThread, getEnvironmentData, setEnvironmentData, workerData } = require('node:worker_threads');
const { setTimeout } = require('node:timers');

const ARMED = Symbol.for('vitalsd.probe');
const KEY = 'vitalsd.probe';
const AFTER_MS = process.env.VITALSD_WHOLE_LIFE === '1' ? 0 : 1000;
const THREAD_AFTER_MS = 250;
const OLDEST = 18;

/** Arm the probe in this thread; a second time does nothing. */
function arm(given) {
  if (process[ARMED] || !isKnown() || startsTests()) return;
  if (workerData?.[KEY] === 'watchdog') return;
  Object.defineProperty(process, ARMED, { value: { sight: null }, configurable: false });
  if (isMainThread) {
    if (!given) require('./hooks').watch();
    const memory = require('./board').makeMemory();
    setEnvironmentData(KEY, memory);
    later(given ? 0 : AFTER_MS, () => require('./active').start(memory, given));
  } else {
    const memory = getEnvironmentData(KEY);
    if (memory instanceof SharedArrayBuffer) later(THREAD_AFTER_MS, () => require('./thread').start(memory));
  }
}

/** Whether this is a Node that the probe knows, and that is to run: not one whose heap becomes a snapshot. */
function isKnown() {
  const { electron, node } = process.versions;
  if (electron !== undefined || Number.parseInt(node, 10) < OLDEST || process.platform !== 'linux') return false;
  return !require('node:v8').startupSnapshot?.isBuildingSnapshot();
}

/**
Whether it is `node --test`, which only starts others. It has no inspector: a session with it, which a thread of the
probe's would open for a stack, fails an assertion of Node's (18 to 24), and that ends the process.
*/
function startsTests() {
  return process.execArgv.includes('--test');
}

function later(milliseconds, start) {
  setTimeout(() => {
    try {
      start();
    } catch {
      // nothing of ours may reach the service
    }
  }, milliseconds).unref();
}

module.exports = { ARMED, KEY, arm };
