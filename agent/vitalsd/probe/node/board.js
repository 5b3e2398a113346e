'use strict';
/*
The memory that the threads of a process share: each loop's thread writes its own part, the watchdog reads them all.

A part has one writer. It makes the part's sequence odd, writes, and makes it even again; who reads compares the
sequence before and after. So nobody ever waits for anybody.
*/

const { performance } = require('./clock');
const layout = require('./layout.json');

const FIELDS = [
  ...['used', 'threadId', 'running', 'due', 'beatAt', 'period', 'atWork'],
  ...['busy', 'idle', 'square', 'delayMax', 'stalls', 'stallSeconds', 'ownSeconds'],
  ...layout.DELAY_BOUNDS_SECONDS.map((_, index) => `over${index}`),
  ...['heapUsed', 'heapLive', 'heapLimit', 'external', 'listenerWarnings', 'rejections', 'exceptions'],
];
const GC = FIELDS.length;
const GC_WORDS = 1 + layout.GC_BOUNDS_SECONDS.length + 1;
const STALL_FIELDS = ['number', 'since', 'endedAtUnix', 'duration', 'cpu', 'gc'];
const KEPT_STALLS = 4;
/** Of the threshold, after which the watchdog looks into a loop that is late; it sleeps until then. */
const FIRST_SAMPLE = 0.5;
const STALLS = GC + layout.GC_GENERATIONS * GC_WORDS;
const WORDS = STALLS + KEPT_STALLS * STALL_FIELDS.length;
const AT = Object.fromEntries(FIELDS.map((name, index) => [name, index]));
const HEAD_BYTES = 8 * layout.LOOPS;

const FLAGS_AT = HEAD_BYTES + layout.LOOPS * WORDS * 8;
const DOZE_AT = FLAGS_AT + 16;
const SEEN_AT = DOZE_AT + 8;
const MEMORY_BYTES = SEEN_AT + 24;

/** Make the shared memory of a process. */
function makeMemory() {
  return new SharedArrayBuffer(MEMORY_BYTES);
}

/** What the main thread, and the probe's own that look into it, tell each other at the end of the process. */
class Leaving {
  constructor(memory) {
    this._flags = new Int32Array(memory, FLAGS_AT, 3);
  }

  /** By a thread of the probe's: it has one more session with the main thread. */
  opened() {
    Atomics.add(this._flags, 0, 1);
  }

  /** It has one less. */
  closed() {
    Atomics.sub(this._flags, 0, 1);
    Atomics.notify(this._flags, 0);
  }

  /** Whether the main thread is about to leave. */
  get begun() {
    return Atomics.load(this._flags, 1) === 1;
  }

  /** By the watchdog: the segment has all that there was. */
  toldAll() {
    Atomics.store(this._flags, 2, 1);
    Atomics.notify(this._flags, 2);
  }

  /** By the main thread: wait so long for that. */
  awaitAll(milliseconds) {
    Atomics.wait(this._flags, 2, 0, milliseconds);
  }

  /** By the main thread: leave, and wait so long for the sessions that there are to be closed. */
  begin(milliseconds) {
    Atomics.store(this._flags, 1, 1);
    const until = performance.now() + milliseconds;
    for (;;) {
      const sessions = Atomics.load(this._flags, 0);
      const left = until - performance.now();
      if (sessions <= 0 || left <= 0) return;
      Atomics.wait(this._flags, 0, sessions, left);
    }
  }
}

/** One loop's part of it. */
class Part {
  constructor(memory, slot) {
    this.slot = slot;
    this.words = new Float64Array(memory, HEAD_BYTES + slot * WORDS * 8, WORDS);
    this._state = new Int32Array(memory, slot * 8, 2);
  }

  /** Take this part for a loop; false where another has it. */
  claim() {
    return Atomics.compareExchange(this._state, 1, 0, 1) === 0;
  }

  /** Whether some loop has, or has had, it. */
  get taken() {
    return Atomics.load(this._state, 1) === 1;
  }

  /** Let another loop have it. What it counted stays. */
  release() {
    Atomics.store(this._state, 1, 2);
  }

  /** Take one that was released. */
  reclaim() {
    return Atomics.compareExchange(this._state, 1, 2, 1) === 2;
  }

  /** Write: call `change` while readers know that they must not. */
  write(change) {
    const sequence = this._state[0];
    Atomics.store(this._state, 0, sequence + 1);
    change(this.words);
    Atomics.store(this._state, 0, sequence + 2);
  }

  /** Copy all of it into `into`; false while it is being written. */
  read(into) {
    for (let attempt = 0; attempt < 4; attempt++) {
      const before = Atomics.load(this._state, 0);
      if (before % 2 === 0) {
        into.set(this.words);
        if (Atomics.load(this._state, 0) === before) return true;
      }
    }
    return false;
  }
}

module.exports = {
  ...{ AT, DOZE_AT, FIRST_SAMPLE, GC, GC_WORDS, KEPT_STALLS, Leaving, MEMORY_BYTES, Part, SEEN_AT, STALLS, STALL_FIELDS, WORDS },
  makeMemory,
};
