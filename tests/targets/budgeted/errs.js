// One rejection that nobody handles, and goes on.
'use strict';

process.on('unhandledRejection', () => {});

async function fails() {
  throw new TypeError('no text of this is told');
}

setTimeout(fails, 50);
setTimeout(() => {}, 200);
