// The same small service on Node's own http server: about 100 us of work per request.
//
// It stalls where it is asked to, at /stall; /out and /in take the hooks of the probe out, and put them back.
//
// BENCH_MONITOR_MS has Node's own monitorEventLoopDelay run with that resolution.
"use strict";
const http = require("http");
const { monitorEventLoopDelay } = require("perf_hooks");
const { change } = require("./inout");

const THINGS = Array.from({ length: 85 }, (_, number) => {
  return { name: `thing ${number}`, price: number * 1.25, tags: ["new", "red"] };
});
const DOCUMENT = JSON.stringify(THINGS);
const HEADERS = { "content-type": "text/plain", "content-length": 6 };

const STALL_MS = 1500;

/** Some 100 us of it. */
function work() {
  const things = JSON.parse(DOCUMENT);
  things.sort((one, other) => other.price - one.price);
  return JSON.stringify(things).length;
}

/** Compute for so long. */
function stall() {
  const until = Date.now() + STALL_MS;
  while (Date.now() < until) work();
}

// Kept, since one that is collected measures no more.
let monitor;
if (process.env.BENCH_MONITOR_MS) {
  monitor = monitorEventLoopDelay({ resolution: Number(process.env.BENCH_MONITOR_MS) });
  monitor.enable();
}

/** Answer every request with the same six bytes. */
function serve(port) {
  http
    .createServer((request, response) => {
      if (request.url === "/stall") stall();
      if (request.url === "/in" || request.url === "/out") change(request.url);
      work();
      response.writeHead(200, HEADERS);
      response.end("hello\n");
    })
    .listen(port, "127.0.0.1");
}

if (require.main === module) serve(Number(process.argv[2]));
module.exports = { HEADERS, monitor, serve, work };
