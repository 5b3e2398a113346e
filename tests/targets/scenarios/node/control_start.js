// A healthy control: a slow start and much code to load before the loop runs, as most services have.
"use strict";
const { builtinModules } = require("module");
const { play, spin } = require("./scenery.js");

const WARNS = ["punycode", "sys", "wasi"];

spin(1.5);
for (const name of builtinModules) {
  if (!name.startsWith("_") && !WARNS.includes(name)) require(name);
}

play(() => {});
