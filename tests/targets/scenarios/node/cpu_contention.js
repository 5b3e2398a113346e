// Others want the same processor: six busy processes on the one that this service is pinned to.
"use strict";
const { execFileSync, spawn } = require("child_process");
const { now, plainEnvironment, play, spin } = require("./scenery.js");

const allowed = execFileSync("taskset", ["-cp", String(process.pid)], { encoding: "utf8" });
const last = allowed.trim().match(/(\d+)$/)[1];
execFileSync("taskset", ["-acp", last, String(process.pid)]);

function compete(seconds) {
  const began = now();
  const rivals = Array.from({ length: 6 }, () => {
    return spawn("sh", ["-c", "while :; do :; done"], { env: plainEnvironment(), stdio: "ignore" });
  });
  spin(seconds);
  for (const rival of rivals) rival.kill("SIGKILL");
  return { began, ended: now() };
}

play(compete, "cpu_contention", null);
