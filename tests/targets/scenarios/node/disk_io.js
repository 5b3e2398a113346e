// A callback that writes a file and waits until it is on the disk.
"use strict";
const crypto = require("crypto");
const fs = require("fs");
const os = require("os");
const path = require("path");
const { play } = require("./scenery.js");

const folder = process.env.SCENARIO_FOLDER || fs.mkdtempSync(path.join(os.tmpdir(), "scenario-"));
const block = crypto.randomBytes(4096);

function writeReport(seconds) {
  const end = Date.now() + seconds * 1000;
  const file = fs.openSync(path.join(folder, "report"), "w");
  while (Date.now() < end) {
    fs.writeSync(file, block);
    fs.fsyncSync(file);
  }
  fs.closeSync(file);
}

play(writeReport, "disk_io", "writeReport");
