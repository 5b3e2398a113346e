// A service that blocks its loop for 1 s in every 10 s, by turns asleep and computing, and keeps books of it.
//
// It answers every request with them, with Node's own books of its delay and busy time beside them. BENCH_IDLE=1
// leaves the blocks out.
"use strict";
const http = require("http");
const { monitorEventLoopDelay, performance } = require("perf_hooks");

const PERIOD_SECONDS = 10;
const BLOCK_SECONDS = 1;
const books = { blocks: 0, blocked_seconds: 0, next_at: now() + PERIOD_SECONDS / 2 };
const monitors = [10, 20].map((resolution) => [resolution, monitorEventLoopDelay({ resolution })]);
const nothing = new Int32Array(new SharedArrayBuffer(4));

/** CLOCK_MONOTONIC in seconds. */
function now() {
  return Number(process.hrtime.bigint()) / 1e9;
}

/** Hold the loop, and book it. */
function block() {
  const began = now();
  if (books.blocks % 2) Atomics.wait(nothing, 0, 0, BLOCK_SECONDS * 1000);
  else while (now() < began + BLOCK_SECONDS);
  books.blocked_seconds += now() - began;
  books.blocks += 1;
  books.next_at += PERIOD_SECONDS;
  keepBlocking();
}

/** Block on an absolute grid. */
function keepBlocking() {
  setTimeout(block, (books.next_at - now()) * 1000);
}

/** What monitorEventLoopDelay reads, by resolution; it begins anew with /reset. */
function ownDelay(percentile) {
  return Object.fromEntries(monitors.map(([resolution, monitor]) => [resolution, monitor.percentile(percentile) / 1e9]));
}

function answer(request, response) {
  if (request.url === "/reset") {
    for (const [, monitor] of monitors) monitor.reset();
  }
  const busy_seconds = performance.eventLoopUtilization().active / 1000;
  const own = { own_p50_seconds: ownDelay(50), own_p99_seconds: ownDelay(99) };
  response.end(JSON.stringify({ ...books, busy_seconds, ...own }));
}

for (const [, monitor] of monitors) monitor.enable();
http.createServer(answer).listen(Number(process.argv[2]), "127.0.0.1");
if (!process.env.BENCH_IDLE) keepBlocking();
