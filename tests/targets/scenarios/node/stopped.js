// Somebody stops the process and lets it go on later: a debugger, a snapshot, a freezer.
"use strict";
const { execFile } = require("child_process");
const { plainEnvironment, play } = require("./scenery.js");

const PROGRAM = `
const [pid, seconds] = process.argv.slice(1).map(Number);
const now = () => Number(process.hrtime.bigint()) / 1e9;
process.kill(pid, "SIGSTOP");
const began = now();
Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, seconds * 1000);
process.kill(pid, "SIGCONT");
console.log(JSON.stringify({ began, ended: now() }));
`;

function beStopped(seconds) {
  return new Promise((resolve, reject) => {
    const asked = ["-e", PROGRAM, String(process.pid), String(seconds)];
    execFile(process.execPath, asked, { env: plainEnvironment() }, (error, out) => {
      if (error) reject(error);
      else resolve(JSON.parse(out));
    });
  });
}

play(beStopped, "stopped", null);
