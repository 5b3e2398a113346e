'use strict';
/*
The thread that takes one capture of the main thread, by a session of the inspector within the process: no port, no
debugger and no pause. V8's own profilers do the work; what they make is sent on in pieces, and the thread waits for
the other side before it makes more.

How long the main thread was held is measured there: a question for the time before what is asked of V8 and one after
it, all three served in one go.
*/

const { parentPort, workerData } = require('node:worker_threads');

const { AT, Leaving, Part } = require('./board');
const { GATE } = require('./capture');
const { monotonic } = require('./clock');
const { collectionsOf } = require('./collections');
const { control } = require('./layout.json');
const { KINDS } = require('./profilers');
const { Sessions } = require('./sessions');

const LOOK_MS = 10;
const PASSING_MS = 50;
const LONGEST_PASSING_SECONDS = 60;
/** Beats of the main thread: between two of them it has looked for what other threads have for it. */
const SAFE_ROUNDS = 3;
const PIECE_BYTES = 256 * 1024;
const MOST_PENDING_BYTES = 4 * 1024 * 1024;
/** For a caller that takes nothing, while there is something to take. */
const STUCK_MS = 5000;
const NOW = { expression: "process[Symbol.for('vitalsd.probe')].now()", returnByValue: true, silent: true };

class Refused extends Error {}

class Capturer {
  constructor({ memory, gate, wanted }) {
    this._memory = memory;
    this._leaving = new Leaving(memory);
    this._sessions = new Sessions(this._leaving);
    this._gate = new Int32Array(gate);
    this._wanted = wanted;
    this._bytes = 0;
    this._held = 0;
    this._notes = [];
    this._problem = null;
    this._stop = () => {};
    this._ended = new Promise((resolve) => {
      this._stop = resolve;
    });
    this._failed = new Promise((_, reject) => {
      this._fail = (reason) => {
        this._problem ??= reason;
        reject(new Refused(reason));
      };
    });
    this._failed.catch(() => {});
  }

  async run() {
    const session = this._sessions.open();
    Atomics.store(this._gate, GATE.connected, 1);
    const looking = setInterval(() => this._leaving.begun && this._fail('the process ends'), LOOK_MS);
    parentPort.on('message', (word) => (word === 'end' ? this._stop() : this._fail('nobody wants it any more')));
    this._session = session;
    let last;
    try {
      await Promise.race([this._take(), this._failed]);
      last = [control.DONE, [`held_ns=${Math.round(this._held * 1e9)}`, `bytes=${this._bytes}`, ...this._notes].join('\t')];
    } catch (error) {
      last = [control.REFUSED, error instanceof Refused ? error.message : `${error?.name}: ${error?.message}`];
    } finally {
      clearInterval(looking);
      // In this order: should the thread end in between, the watchdog counts the session as closed, and once.
      Atomics.store(this._gate, GATE.connected, 0);
      this._sessions.close(session);
    }
    parentPort.postMessage({ last });
    await this._passed();
    parentPort.close();
  }

  /**
   * Until the main thread has been round its loop since the session was closed, and with that has let go of it: it
   * aborts when it has something to tell to a thread that has just ended (seen with Node 22).
   */
  async _passed() {
    const main = new Part(this._memory, 0);
    const until = monotonic() + LONGEST_PASSING_SECONDS;
    let rounds = 0;
    let beatAt = main.words[AT.beatAt];
    while (rounds < SAFE_ROUNDS) {
      // Where the meter has been given up nothing beats any more.
      if (main.words[AT.running] !== 1 && monotonic() > until) return;
      await new Promise((resolve) => {
        setTimeout(resolve, PASSING_MS);
      });
      if (main.words[AT.beatAt] === beatAt) continue;
      beatAt = main.words[AT.beatAt];
      rounds++;
    }
  }

  async _take() {
    const { kind, wide, budget } = this._wanted;
    await KINDS[kind](this, { milliseconds: wide, budget });
  }

  /**
   * Have V8 do something; what it has answered. `held` is whether the main thread may be held by it, and `later`
   * whether V8 may do it at another time than it is asked: then the second question for the time follows the answer.
   */
  async ask(method, given, { seconds = 10, held = false, later = false } = {}) {
    const run = async () => {
      const before = held ? this._post('Runtime.evaluate', NOW) : null;
      const asked = this._post(method, given);
      if (later) await asked;
      const after = held ? this._post('Runtime.evaluate', NOW) : null;
      const [first, found, second] = await Promise.all([before, asked, after]);
      if (held) this._held = Math.max(this._held, second.result.value - first.result.value);
      return found;
    };
    let patience;
    const late = new Promise((_, reject) => {
      const reason = `its main thread has served nothing for ${seconds} s: native code runs`;
      patience = setTimeout(() => reject(new Refused(reason)), seconds * 1e3);
    });
    try {
      return await Promise.race([run(), late, this._failed]);
    } finally {
      clearTimeout(patience);
    }
  }

  /** Have `call` called with what V8 tells of this. */
  on(event, call) {
    this._session.on(event, (message) => call(message.params));
  }

  _post(method, given) {
    const asked = new Promise((resolve, reject) => {
      this._session.post(method, given, (error, found) => {
        if (error) reject(new Refused(`V8 does not do it: ${error.message}`));
        else resolve(found);
      });
    });
    asked.catch(() => {});
    return asked;
  }

  /** Tell the caller that something comes. */
  begin() {
    parentPort.postMessage({ begun: true });
  }

  /** Tell the caller a number in the end. */
  note(name, value) {
    this._notes.push(`${name}=${value}`);
  }

  /** How often the main thread's heap was collected. */
  get collections() {
    return collectionsOf(new Part(this._memory, 0));
  }

  /** So long, or until the caller has enough; whether it was so long. */
  async rest(milliseconds) {
    let resting;
    const rest = new Promise((resolve) => {
      resting = setTimeout(() => resolve(true), milliseconds);
    });
    try {
      return (await Promise.race([rest, this._ended, this._failed])) === true;
    } finally {
      clearTimeout(resting);
    }
  }

  /** Send text, of bytes alone where it is `latin1`; waits for the caller. */
  send(text, encoding = 'utf8') {
    const bytes = Buffer.from(text, encoding);
    for (let at = 0; at < bytes.length; at += PIECE_BYTES) {
      this._wait();
      if (this._problem !== null) throw new Refused(this._problem);
      this._sendPiece(bytes.subarray(at, at + PIECE_BYTES));
    }
  }

  _sendPiece(bytes) {
    // Not of Node's pool: it goes to the other thread with its memory.
    const piece = Buffer.from(new ArrayBuffer(control.FRAME_BYTES + bytes.length));
    piece.writeUInt32LE(bytes.length, 0);
    bytes.copy(piece, control.FRAME_BYTES);
    Atomics.add(this._gate, GATE.pending, piece.length);
    this._bytes += bytes.length;
    parentPort.postMessage({ piece: new Uint8Array(piece.buffer) }, [piece.buffer]);
  }

  /** Until there is room on the way. Node's loop does not turn meanwhile: what it would tell is looked at here. */
  _wait() {
    let stuck = 0;
    let before = -1;
    for (;;) {
      if (this._leaving.begun) this._fail('the process ends');
      if (Atomics.load(this._gate, GATE.closed) === 1) this._fail('nobody wants it any more');
      const pending = Atomics.load(this._gate, GATE.pending);
      if (this._problem !== null || pending < MOST_PENDING_BYTES) return;
      stuck = pending === before ? stuck + LOOK_MS : 0;
      if (stuck >= STUCK_MS) this._fail(`nobody has taken anything of it for ${STUCK_MS / 1e3} s`);
      before = pending;
      Atomics.wait(this._gate, GATE.pending, pending, LOOK_MS);
    }
  }

  /** Refuse it. */
  refuse(reason) {
    throw new Refused(reason);
  }

  /** Refuse it from within a call of V8's. */
  fail(reason) {
    this._fail(reason);
  }
}

new Capturer(workerData).run();
