// A healthy control: bursts of 5 to 40 ms, which no threshold of 100 ms is for.
"use strict";
const { chance, play, sleep, spin } = require("./scenery.js");

const uniform = chance(3);

async function burst() {
  for (let count = 0; count < 15; count++) {
    spin(0.005 + 0.035 * uniform());
    await sleep(0.05);
  }
}

play(burst);
