// A callback that waits for shared memory which a worker thread will change.
"use strict";
const { play } = require("./scenery.js");

const shared = new Int32Array(new SharedArrayBuffer(4));

function updateSharedTable(seconds) {
  Atomics.wait(shared, 0, 0, seconds * 1000);
}

play(updateSharedTable, "lock_wait", "updateSharedTable");
