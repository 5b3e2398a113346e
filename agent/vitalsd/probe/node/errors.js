'use strict';
/*
Counts what nobody has handled, without changing what becomes of it.

A listener of `unhandledRejection` would keep the process from ending, so the probe has one only while the service
has one itself. The rest is told by `uncaughtExceptionMonitor`, which is there for that, and by Node's warnings.
*/

const RATE_SECONDS = 0.1;
const MOST_FRAMES = 40;
const FRAME = /^\s+at (?:async )?(?:(.+?) \()?(?:file:\/\/)?(.+?):(\d+):\d+\)?$/;
const REJECTION = 'unhandledRejection';

class Errors {
  /** `count(channel)` and `tell(channel, number, type, frames)` take in what happens. */
  constructor({ monotonic, count, tell, warned }) {
    this._monotonic = monotonic;
    this._count = count;
    this._tell = tell;
    this._warned = warned;
    this._toldAt = { rejection: -Infinity, exception: -Infinity };
    this._numbers = { rejection: 0, exception: 0 };
    this._own = this._quiet((reason) => this._note('rejection', reason));
    this._listeners = [
      ['uncaughtExceptionMonitor', this._quiet((error, origin) => this._onException(error, origin))],
      ['warning', this._quiet((warning) => this._onWarning(warning))],
      ['newListener', this._quiet((name, listener) => this._onAdded(name, listener))],
      ['removeListener', this._quiet((name) => this._onRemoved(name))],
    ];
    for (const [name, listener] of this._listeners) process.on(name, listener);
    if (process.listenerCount(REJECTION) > 0) process.on(REJECTION, this._own);
  }

  /** Listen no more. */
  stop() {
    for (const [name, listener] of this._listeners) process.off(name, listener);
    process.off(REJECTION, this._own);
  }

  _quiet(listen) {
    return (...given) => {
      try {
        listen(...given);
      } catch {
        // what is counted must not become an error of its own
      }
    };
  }

  _onException(error, origin) {
    // A rejection that the service listens to never comes here.
    this._note(origin === REJECTION ? 'rejection' : 'exception', error);
  }

  _onWarning(warning) {
    if (warning?.name === 'MaxListenersExceededWarning') this._warned();
    // What `--unhandled-rejections=warn` makes of them.
    if (warning?.name === 'UnhandledPromiseRejectionWarning') this._note('rejection', undefined);
  }

  _onAdded(name, listener) {
    if (name === REJECTION && listener !== this._own && !process.listeners(REJECTION).includes(this._own)) {
      process.on(REJECTION, this._own);
    }
  }

  _onRemoved(name) {
    if (name !== REJECTION) return;
    const left = process.listeners(REJECTION);
    if (left.length === 1 && left[0] === this._own) process.off(REJECTION, this._own);
  }

  _note(channel, error) {
    const number = (this._numbers[channel] += 1);
    this._count(channel);
    const now = this._monotonic();
    if (now - this._toldAt[channel] < RATE_SECONDS) return;
    this._toldAt[channel] = now;
    this._tell(channel, number, typeOf(error), framesOf(error));
  }
}

function typeOf(error) {
  if (!(error instanceof Error)) return '';
  const name = Object.getPrototypeOf(error)?.constructor?.name;
  return typeof name === 'string' ? name : '';
}

/** Function, file and line of each frame, innermost first; never the message. */
function framesOf(error) {
  if (!(error instanceof Error)) return [];
  const stack = error.stack;
  if (typeof stack !== 'string') return [];
  const frames = [];
  for (const line of stack.split('\n')) {
    const found = FRAME.exec(line);
    if (found !== null) frames.push([found[1] ?? '(anonymous)', found[2], Number(found[3])]);
    if (frames.length === MOST_FRAMES) break;
  }
  return frames;
}

module.exports = { Errors };
