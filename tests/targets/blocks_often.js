// A service that waits for a child in its loop again and again, for BLOCK_SECONDS each time.
"use strict";
const { execSync } = require("child_process");
const http = require("http");

class Reports {
  render() {
    execSync(`exec sleep ${process.env.BLOCK_SECONDS}`);
  }
}

http.createServer((_, answer) => answer.end("ok")).listen(0, "127.0.0.1");
setInterval(() => new Reports().render(), 2000);
