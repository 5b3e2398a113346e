// A callback that reads a named pipe, which looks like a file, and waits for whoever writes it.
"use strict";
const { execFileSync, spawn } = require("child_process");
const fs = require("fs");
const os = require("os");
const path = require("path");
const { now, plainEnvironment, play } = require("./scenery.js");

const folder = process.env.SCENARIO_FOLDER || fs.mkdtempSync(path.join(os.tmpdir(), "scenario-"));
const fifo = path.join(folder, "commands");
execFileSync("mkfifo", [fifo]);

function readCommand() {
  return fs.readFileSync(fifo);
}

function waitForCommand(seconds) {
  const writer = `exec > "$1"; sleep ${seconds}; echo go`;
  spawn("sh", ["-c", writer, "sh", fifo], { env: plainEnvironment(), stdio: "ignore" });
  const began = now();
  readCommand();
  return { began, ended: now() };
}

play(waitForCommand, "blocking_call", "readCommand");
