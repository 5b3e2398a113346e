'use strict';
/*
The sessions of the inspector that a thread of the probe has with the main thread: the one place that opens and closes
them.

No port is opened. While there is a session, Node says a line of its own at the end of the process, so what is open is
counted where the main thread looks before it leaves, and waits a moment for it.
*/

class Sessions {
  constructor(leaving) {
    this._leaving = leaving;
    this._open = new Set();
  }

  /** One more, which its user closes. */
  open() {
    const { Session } = require('node:inspector');
    const session = new Session();
    this._leaving.opened();
    try {
      session.connectToMainThread();
    } catch (error) {
      this._leaving.closed();
      throw error;
    }
    this._open.add(session);
    return session;
  }

  /** What has begun by this session in the main thread ends with it; a second time does nothing. */
  close(session) {
    if (!this._open.delete(session)) return;
    try {
      session.disconnect();
    } finally {
      this._leaving.closed();
    }
  }

  closeAll() {
    for (const session of this._open) this.close(session);
  }
}

module.exports = { Sessions };
