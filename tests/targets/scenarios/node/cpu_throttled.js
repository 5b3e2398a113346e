// The processor quota of the cgroup is used up: the loop is ready and may not run. $CGROUP is a folder to join.
"use strict";
const fs = require("fs");
const path = require("path");
const { play, spin } = require("./scenery.js");

fs.writeFileSync(path.join(process.env.CGROUP, "cgroup.procs"), String(process.pid));

play(spin, "cpu_throttled", null);
