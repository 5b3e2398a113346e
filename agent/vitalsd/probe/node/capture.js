'use strict';
/*
One capture, as the watchdog has it: a thread of its own takes it, and what it makes is passed on to who has asked.

So the watchdog goes on with its own work meanwhile, and a capture that does not fit into its thread's heap ends that
thread and nothing else. At rest there is no such thread. What is made and not taken yet is bounded: the thread waits
for the caller. The two share three numbers, `GATE`.
*/

const path = require('node:path');
const { Worker } = require('node:worker_threads');

const { KEY } = require('./arm');
const { control } = require('./layout.json');

/** Bytes on their way, whether nobody wants more, and whether the thread has a session. */
const GATE = { pending: 0, closed: 1, connected: 2 };
/** Room for the objects of a large profile; nothing takes it but while one is stopped. */
const LIMITS = { maxOldGenerationSizeMb: 256, maxYoungGenerationSizeMb: 8, stackSizeMb: 1 };

class Capture {
  /** `begun()`, `piece(bytes, taken)`, `told(status, text)` and `gone()` are called as it goes, the last two once. */
  constructor({ memory, leaving }, wanted, calls) {
    this._leaving = leaving;
    this._calls = calls;
    this._gate = new Int32Array(new SharedArrayBuffer(12));
    this.over = false;
    this._then = [];
    this._last = [control.REFUSED, 'the thread that takes it has ended'];
    this._thread = new Worker(path.join(__dirname, 'capturer.js'), {
      name: 'vitalsd capture',
      workerData: { [KEY]: 'watchdog', memory, gate: this._gate.buffer, wanted },
      env: {},
      execArgv: [],
      argv: [],
      stdin: false,
      resourceLimits: LIMITS,
      trackUnmanagedFds: false,
    });
    this._thread.on('message', (message) => this._onMessage(message));
    this._thread.on('error', (error) => {
      this._last = [control.REFUSED, `the thread that takes it has failed: ${error?.code ?? error?.message}`];
    });
    this._thread.on('exit', () => this._onExit());
  }

  /** End it early, and have what there is by now. */
  end() {
    this._thread.postMessage('end');
  }

  /** Have something done when its thread has ended. */
  afterwards(call) {
    this._then.push(call);
  }

  /** Nobody wants it any more. The thread is never terminated: the main thread may be about to tell it something. */
  giveUp() {
    Atomics.store(this._gate, GATE.closed, 1);
    Atomics.notify(this._gate, GATE.pending);
    this._thread.postMessage('give up');
  }

  _onMessage(message) {
    if (message.begun) this._calls.begun();
    else if (message.last) this._tellLast(message.last);
    else this._calls.piece(message.piece, () => this._taken(message.piece.length));
  }

  _taken(length) {
    Atomics.sub(this._gate, GATE.pending, length);
    Atomics.notify(this._gate, GATE.pending);
  }

  _tellLast(last) {
    this.over = true;
    const { told } = this._calls;
    this._calls.told = () => {};
    told(...last);
  }

  _onExit() {
    if (Atomics.load(this._gate, GATE.connected) === 1) this._leaving.closed();
    this._tellLast(this._last);
    this._calls.gone();
    for (const call of this._then) call();
  }
}

module.exports = { Capture, GATE };
