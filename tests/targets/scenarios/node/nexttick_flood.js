// A tick that asks for the next one: the loop lives and never comes to its events.
"use strict";
const { now, play } = require("./scenery.js");

let end = 0;
let done;

function pollQueue() {
  let total = 0;
  for (let number = 0; number < 2000; number++) total += number;
  if (Date.now() < end) process.nextTick(pollQueue);
  else done(total);
}

function poll(seconds) {
  const began = now();
  end = Date.now() + seconds * 1000;
  return new Promise((resolve) => {
    done = () => resolve({ began, ended: now() });
    process.nextTick(pollQueue);
  });
}

play(poll, "microtask_flood", "pollQueue");
