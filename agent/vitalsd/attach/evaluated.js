// What a running service is told over its inspector: have the inspector closed in any case, and load the probe first.
//
// Where Node has no `getBuiltinModule`, `require` does, which the inspector lends for this one expression. Nothing is
// done in the middle of what the service does: loading waits for a turn of its own. The inspector is closed when the
// agent has hung up, and not before, since `close()` waits for everybody who is connected, and the service must not
// wait for an agent that has been stopped. No timer keeps the process alive, nothing is thrown, and nothing is ever
// answered: the promise stays as it is.
(lent, given) => {
  try {
    begin(given);
  } catch {
    // an exception would be an answer
  }
  return new Promise(() => {});

  function begin({ arm, options, connection }) {
    const builtin = process.getBuiltinModule ?? lent;
    const fs = builtin('node:fs');
    const inspector = builtin('node:inspector');
    const { createRequire } = builtin('node:module');
    const { setTimeout } = builtin('node:timers');
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
        createRequire(arm)(arm).arm(options);
      } catch {
        // nothing will be published, and the agent says so
      }
    };

    setTimeout(close, FIRST_MS, FIRST_MS).unref();
    if (arm !== null) setTimeout(load, 0).unref();
  }
};
