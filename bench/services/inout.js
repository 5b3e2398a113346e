// Takes the probe's hooks out of the running service and puts them back, so that one process is compared with itself.
//
// The probe's thread is woken each time, to find that there is a loop to look at, or none. The probe is found where
// it was loaded from: it starts a second after the service, and its meter is met then.
"use strict";
const { clearTimeout } = require("node:timers");

let meter = null;

const loaded = Object.keys(require.cache).find((file) => file.endsWith("/probe/node/arm.js"));
if (loaded !== undefined) {
  const { Meter } = require(loaded.replace("arm.js", "meter.js"));
  const { start } = Meter.prototype;
  Meter.prototype.start = function () {
    meter = this;
    start.call(this);
  };
}

/** `/out` or `/in`, whatever it is now. */
function change(path) {
  if (meter._stopped === (path === "/out")) return;
  if (path === "/out") {
    meter.stop();
    clearTimeout(meter._timer);
    meter._timers.clear();
    if (meter._collections._isWatching) meter._collections._leave(meter._at);
  } else {
    meter._stopped = false;
    meter.start();
  }
  meter._doze.wake();
}

module.exports = { change };
