'use strict';
/*
How the watchdog sleeps while the main thread's loop rests: without its own loop, and with an eye on that thread.

A timer of a thread that has been idle costs a quarter of a millisecond, most of it V8's; `Atomics.wait` a third of
that. And a loop that rests need not be woken to prove that it lives: the kernel tells what its thread waits in, to
any thread of the same process and without rights of any kind. Which epoll is the loop's own is learned: the one in
which the thread waits again after it has turned, since a command that is waited for has another.
*/

const fs = require('node:fs');

const { DOZE_AT, MEMORY_BYTES, SEEN_AT } = require('./board');
const layout = require('./layout.json');

const EPOLL = layout.EPOLL[process.arch] ?? [];
const MOST_BYTES = 128;

/** What both threads know of it. */
class Doze {
  constructor(memory) {
    this._flags = new Int32Array(memory, DOZE_AT, 2);
    this._times = new Float64Array(memory, SEEN_AT, (MEMORY_BYTES - SEEN_AT) / 8);
  }

  /** Whether the watchdog sees what the main thread waits in, so that its loop need not beat. */
  get isSeen() {
    return Atomics.load(this._flags, 1) === 1;
  }

  set isSeen(value) {
    Atomics.store(this._flags, 1, value ? 1 : 0);
  }

  /** Since when the watchdog has seen the main thread at something, 0 while it has not. */
  get since() {
    return this._times[0];
  }

  set since(value) {
    this._times[0] = value;
  }

  /** When the main thread's loop has turned last, as far as it rests. */
  get turnedAt() {
    return this._times[1];
  }

  /** How often it has turned, at rest. */
  get turns() {
    return this._times[2];
  }

  /** By the main thread: its loop has turned. */
  turned(now) {
    this._times[1] = now;
    this._times[2] += 1;
  }

  /** By the watchdog: sleep for so long, or until it is woken; whether it slept on. */
  sleep(milliseconds) {
    if (Atomics.wait(this._flags, 0, 0, milliseconds) === 'timed-out') return true;
    Atomics.store(this._flags, 0, 0);
    return false;
  }

  /** By the main thread: something has come for the watchdog. */
  wake() {
    Atomics.store(this._flags, 0, 1);
    Atomics.notify(this._flags, 0);
  }
}

/** What the main thread waits in, from the watchdog's. */
class Wait {
  constructor(threadId) {
    this._read = Buffer.alloc(MOST_BYTES);
    /** What the kernel's line begins with while the thread waits in its loop: a call on an epoll, and which. */
    this._own = Buffer.alloc(0);
    this._likely = '';
    this._likelyAt = 0;
    try {
      this._file = EPOLL.length > 0 ? fs.openSync(`/proc/self/task/${threadId}/syscall`, 'r') : -1;
    } catch {
      this._file = -1;
    }
  }

  /** Whether the loop's own epoll is known. */
  get isKnown() {
    return this._own.length > 0;
  }

  /** Look, to know it: `turnedAt` is when the loop has turned last. */
  learn(turnedAt) {
    const [number, epoll] = this._read.latin1Slice(0, this._look()).split(' ', 2);
    if (!EPOLL.includes(number)) return;
    const call = `${number} ${epoll} `;
    if (call === this._likely && turnedAt > this._likelyAt) this._own = Buffer.from(call, 'latin1');
    this._likely = call;
    this._likelyAt = turnedAt;
  }

  /** It was not what it seemed: a thread that was not in its loop had nothing to do. */
  forget() {
    this._own = Buffer.alloc(0);
    this._likely = '';
  }

  /** Whether it waits in its loop. Bytes are compared, for making text of them would take as long as to read them. */
  inLoop() {
    const own = this._own;
    if (this._look() < own.length) return false;
    for (let index = 0; index < own.length; index++) if (own[index] !== this._read[index]) return false;
    return own.length > 0;
  }

  /** How many bytes the kernel's line has. */
  _look() {
    if (this._file === -1) return 0;
    try {
      return fs.readSync(this._file, this._read, 0, MOST_BYTES, 0);
    } catch {
      this._file = -1; // somebody has closed it
      this.forget();
      return 0;
    }
  }
}

/** Of a loop whose thread nobody looks at. */
const NOT_SEEN = { isSeen: false, since: 0, turned() {} };

module.exports = { Doze, NOT_SEEN, Wait };
