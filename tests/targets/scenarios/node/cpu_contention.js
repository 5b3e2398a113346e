// Others want the same processor: six busy processes on the one that this service is pinned to.
"use strict";
const { execFileSync, spawn } = require("child_process");
const { now, plainEnvironment, play, spin } = require("./scenery.js");

const allowed = execFileSync("taskset", ["-cp", String(process.pid)], { encoding: "utf8" });
const last = allowed.trim().match(/(\d+)$/)[1];
execFileSync("taskset", ["-acp", last, String(process.pid)]);
const RIVALS = "for rival in 1 2 3 4 5; do (while :; do :; done) & done; while :; do :; done";

function compete(seconds) {
  const rivals = spawn("sh", ["-c", RIVALS], { detached: true, env: plainEnvironment(), stdio: "ignore" });
  const began = now();
  spin(seconds);
  process.kill(-rivals.pid, "SIGKILL");
  return { began, ended: now() };
}

play(compete, "cpu_contention", null);
