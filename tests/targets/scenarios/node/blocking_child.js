// A callback that runs a command and waits for it: Node does so in a loop of its own, with another epoll.
"use strict";
const { execSync } = require("child_process");
const { play } = require("./scenery.js");

function convertPicture(seconds) {
  execSync(`sleep ${seconds}`);
}

play(convertPicture, "blocking_call", "convertPicture");
