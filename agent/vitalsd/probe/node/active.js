'use strict';
/*
The probe in the main thread of a process that runs a loop: the meter, what else is counted, and the watchdog's thread.

The watchdog is a thread with a small heap of its own. It is started without the service's environment and flags, so
none of what the service loads in its threads is loaded there.
*/

const fs = require('node:fs');
const path = require('node:path');
const { Worker } = require('node:worker_threads');

const { ARMED, KEY } = require('./arm');
const { AT, Leaving, Part } = require('./board');
const { monotonic } = require('./clock');
const { Collections } = require('./collections');
const { Counts } = require('./counts');
const { Doze } = require('./doze');
const { Errors } = require('./errors');
const { measure, thresholdSeconds } = require('./measure');
const { sight } = require('./sight');

const LIMITS = { maxOldGenerationSizeMb: 24, maxYoungGenerationSizeMb: 2, stackSizeMb: 1 };
/** For a watchdog that is still being started by then, or waits for a processor; most need a millisecond. */
const LAST_LOOK_PATIENCE_MS = 5000;
/** For the end of a session with the watchdog, which looks every 10 ms while there is one. */
const AT_EXIT_PATIENCE_MS = 250;

/** Start it all; `given` goes before what the environment says. */
function start(memory, given = {}) {
  const part = new Part(memory, 0);
  if (!part.claim()) return;
  new Active(memory, part, given).begin();
}

class Active {
  constructor(memory, part, given) {
    this._memory = memory;
    this._part = part;
    this._given = given;
    this._doze = new Doze(memory);
    this._wholeLife = process.env.VITALSD_WHOLE_LIFE === '1';
    this._off = false;
    this._parts = [];
    this._segment = '';
    this._fail = (error) => this._abandon(error);
  }

  begin() {
    const threshold = thresholdSeconds(this._given.threshold);
    const collections = new Collections(this._part);
    const meter = measure(this._part, { threshold, collections, doze: this._doze, failed: this._fail });
    this._part.write((words) => {
      words[AT.heapLive] = NaN;
    });
    process[ARMED].sight = () => {
      const seen = sight();
      collections.watchAll(seen[0]);
      return seen;
    };
    process[ARMED].now = monotonic;
    this._watchdog = this._startWatchdog(threshold);
    makeRoom();
    const errors = new Errors({
      monotonic,
      count: (channel) => this._add(channel === 'rejection' ? AT.rejections : AT.exceptions),
      warned: () => this._add(AT.listenerWarnings),
      tell: (channel, number, type, frames) => this._post({ error: { channel, number, type, frames } }),
    });
    const counts = new Counts(this._part, (resources, spaces) => this._post({ resources, spaces }));
    meter.onBeat = (now, rests) => counts.look(now, rests);
    meter.start();
    this._parts = [meter, collections, errors];
    process.on('exit', () => {
      if (this._wholeLife) this._tellAll(meter);
      this._onExit();
    });
  }

  _startWatchdog(threshold) {
    const watchdog = new Worker(path.join(__dirname, 'watchdog.js'), {
      name: 'vitalsd',
      workerData: {
        [KEY]: 'watchdog',
        memory: this._memory,
        threshold,
        folder: this._given.folder ?? process.env.VITALSD_DIR,
        target: this._given.target ?? process.env.VITALSD_TARGET,
        wholeLife: this._wholeLife,
      },
      env: {},
      execArgv: [],
      argv: [],
      stdin: false,
      resourceLimits: LIMITS,
      trackUnmanagedFds: false,
    });
    watchdog.unref();
    watchdog.on('message', (message) => {
      if (typeof message.segment === 'string') this._segment = message.segment;
    });
    watchdog.on('error', this._fail);
    watchdog.on('exit', () => this._abandon(new Error('the watchdog has ended')));
    watchdog.unref();
    return watchdog;
  }

  _add(at) {
    this._part.write((words) => {
      words[at] += 1;
    });
  }

  _post(message) {
    if (this._off) return;
    this._watchdog.postMessage(message);
    this._doze.wake();
  }

  /** Something is wrong: leave the service alone for good. The watchdog tells the agent, if it still can. */
  _abandon(error) {
    if (this._off) return;
    this._post({ off: `${error?.name ?? 'Error'}: ${error?.message ?? error}` });
    this._off = true;
    for (const part of this._parts) {
      try {
        part.stop();
      } catch {
        // it is over for it anyway
      }
    }
  }

  /** Have the segment say all that there was, and stay. */
  _tellAll(meter) {
    if (this._off) return;
    try {
      meter.end();
      this._post({ last: true });
      new Leaving(this._memory).awaitAll(LAST_LOOK_PATIENCE_MS);
    } catch {
      // then what was told before is all there is
    }
  }

  _onExit() {
    this._off = true;
    new Leaving(this._memory).begin(AT_EXIT_PATIENCE_MS);
    if (this._segment === '' || this._wholeLife) return;
    for (const file of [this._segment, `${this._segment}.sock`]) {
      try {
        fs.unlinkSync(file);
      } catch {
        // an agent takes away what is left
      }
    }
  }
}

/** The probe's one listener of an event must not be the one too many that Node warns of. */
function makeRoom() {
  const most = process.getMaxListeners();
  if (most > 0) process.setMaxListeners(most + 1);
}

module.exports = { start };
