// A healthy control: a loop that is never idle, whose turns are short; nothing that arrives waits for long.
"use strict";
const { now, play, spin } = require("./scenery.js");

function saturate(seconds) {
  const end = now() + seconds + 1.5;
  return new Promise((resolve) => {
    (function serve() {
      spin(0.003);
      if (now() < end) setImmediate(serve);
      else resolve();
    })();
  });
}

play(saturate);
