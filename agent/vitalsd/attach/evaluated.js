// What a running service is told over its inspector: have the inspector closed in any case, and load the probe first.
//
// `require` is lent by the inspector for this one expression. Nothing is done in the middle of what the service does:
// loading waits for a turn of its own. The inspector is closed when the agent has hung up, and not before, since
// `close()` waits for everybody who is connected, and the service must not wait for an agent that has been stopped.
// An agent that is killed hangs up by that. No timer keeps the process alive, and nothing is thrown.
(require, { arm, options, connection }) => {
  const fs = require('node:fs');
  const inspector = require('node:inspector');
  const { setTimeout } = require('node:timers');
  const FIRST_MS = 1;
  const MOST_MS = 250;

  const isConnected = () => {
    try {
      return fs.readlinkSync(`/proc/self/fd/${connection.descriptor}`) === `socket:[${connection.inode}]`;
    } catch {
      return false;
    }
  };
  const close = (wait) => {
    try {
      if (isConnected()) setTimeout(close, wait, Math.min(MOST_MS, 2 * wait)).unref();
      else inspector.close();
    } catch {
      // it is closed
    }
  };
  const load = () => {
    try {
      return require(arm).arm(options) ? 'armed' : 'armed before';
    } catch (error) {
      return `failed: ${error?.message ?? error}`;
    }
  };

  setTimeout(close, FIRST_MS, FIRST_MS).unref();
  if (arm === null) return 'closing';
  return new Promise((resolve) => {
    setTimeout(() => resolve(load()), 0).unref();
  });
};
