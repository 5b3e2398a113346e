// A loop that blocks now and then, with a hook on asynchronous resources that must not be called within itself
// (`hook`), with an AsyncLocalStorage (`storage`), or with the descriptors of somebody else closed and used for a file
// of its own (`closes FOLDER FILE`).
"use strict";
const { AsyncLocalStorage, AsyncResource, createHook } = require("async_hooks");
const fs = require("fs");

const [mode, folder, file] = process.argv.slice(2);
let within = false;

function work() {
  let total = 0;
  for (let index = 0; index < 2000; index++) total += index;
  return total;
}

function block() {
  const end = performance.now() + 500;
  while (performance.now() < end) {
    new AsyncResource("request");
    work();
  }
}

if (mode === "hook") {
  createHook({
    init(_id, type) {
      if (within) throw new Error(`not reentrant: ${type}`);
      within = true;
      work();
      within = false;
    },
  }).enable();
}
if (mode === "storage") new AsyncLocalStorage().run({}, work);

function closeOthers() {
  for (const name of fs.readdirSync("/proc/self/fd")) {
    try {
      if (fs.readlinkSync(`/proc/self/fd/${name}`).startsWith(folder)) {
        fs.closeSync(Number(name));
        fs.openSync(file, "r+");
      }
    } catch {
      // it is closed already
    }
  }
}

setTimeout(() => {
  if (mode === "closes") closeOthers();
  setInterval(block, 700);
  console.log("ready");
}, 2000);
