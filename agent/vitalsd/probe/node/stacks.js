'use strict';
/*
The stack of the main thread while it does not come back, taken from the watchdog's thread.

A session of the inspector within the process, no port: V8 serves what it is asked at the next function or loop that
the main thread enters, in the middle of what it is at. It is asked for nothing but the stack of that moment, which
takes 0.2 ms; there is no debugger, no breakpoint and no pause, so nothing can be left stopped. While native code
runs nothing is served; the answer then comes at its end, from the very line that has called it.

The session is closed as soon as the stall is over: while there is one, Node says so at the end of the process.
*/

const OWN = `${__dirname}/`;
const QUESTION = {
  expression: "process[Symbol.for('vitalsd.probe')].sight()",
  returnByValue: true,
  silent: true,
};

class Stacks {
  constructor(sessions) {
    this._sessions = sessions;
    this._session = null;
    this._asked = false;
  }

  /**
   * Ask for one; false while one is to come. `answer` gets when it was taken, its frames, innermost first, when since
   * the one before a queue of Node's was between two callbacks, or 0, and how long it took the main thread.
   */
  ask(answer) {
    if (this._asked) return false;
    if (this._session === null) this._session = this._sessions.open();
    const session = this._session;
    this._asked = true;
    session.post('Runtime.evaluate', QUESTION, (error, found) => {
      if (this._session !== session) return;
      this._asked = false;
      const value = found?.result?.value;
      if (error === null && Array.isArray(value)) answer(value[0], framesOf(value[1]), value[2], value[3]);
    });
    return true;
  }

  /** The stall is over. */
  close() {
    const session = this._session;
    this._session = null;
    this._asked = false;
    if (session !== null) this._sessions.close(session);
  }
}

function framesOf(sites) {
  const frames = [];
  for (const [name, file, line] of sites) {
    // What was evaluated has no file and no name; a builtin of V8 has a name alone.
    if (file.startsWith(OWN) || name === '') continue;
    frames.push([name, file === '' ? 'native' : pathOf(file), line]);
  }
  return frames;
}

function pathOf(file) {
  if (!file.startsWith('file://')) return file;
  try {
    return decodeURIComponent(file.slice('file://'.length));
  } catch {
    return file;
  }
}

module.exports = { Stacks, framesOf };
