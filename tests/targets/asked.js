// A service of many ticks, promises and timers whose probe is asked for stacks all the time: what has not been called
// for two seconds is said, and ends it.
"use strict";
const { Worker, isMainThread } = require("worker_threads");
const { Session } = require("inspector");

const QUESTION = { expression: "process[Symbol.for('vitalsd.probe')].sight()", returnByValue: true };

function ask() {
  const session = new Session();
  session.connectToMainThread();
  setInterval(() => session.post("Runtime.evaluate", QUESTION), 1);
}

function serve() {
  const called = { tick: 0, microtask: 0, promise: 0, timer: 0 };
  const turn = () => {
    for (let count = 0; count < 3; count++) process.nextTick(() => called.tick++);
    queueMicrotask(() => called.microtask++);
    Promise.resolve().then(() => called.promise++);
    setTimeout(() => called.timer++, 1);
    setImmediate(turn);
  };
  turn();
  let before = { ...called };
  setInterval(() => {
    const stuck = Object.keys(called).filter((name) => called[name] === before[name]);
    if (stuck.length > 0) {
      console.log(`not called: ${stuck}`);
      process.exit(1);
    }
    before = { ...called };
    console.log("all are called");
  }, 2000);
}

if (isMainThread) {
  setTimeout(() => new Worker(__filename), 1800);
  setTimeout(serve, 2000);
} else {
  ask();
}
