// A healthy control: a service that waits.
"use strict";
const { play } = require("./scenery.js");

play(() => {});
