// The service that blocks 1 s in every 10 s, with what people measure its delay by in it: the clients of Prometheus,
// and Node's own monitorEventLoopDelay.
//
// `node readings.js PORT PORT`: the first is the service's; the second tells what the clients read since they were
// asked last, as p50 and p99, as they tell it to Prometheus. BENCH_CLIENTS names them.
"use strict";
const http = require("http");

const clients = (process.env.BENCH_CLIENTS ?? "").split(" ").filter(Boolean);
const registries = clients.map((name) => {
  const client = require(name);
  client.collectDefaultMetrics();
  return [name, client.register];
});

/** Of one client, in seconds. */
async function quantiles(registry) {
  const text = await registry.metrics();
  return ["p50", "p99"].map((which) => {
    const line = text.match(new RegExp(`^nodejs_eventloop_lag_${which}_seconds (\\S+)`, "m"));
    return line ? Number(line[1]) : null;
  });
}

async function answer(request, response) {
  const found = await Promise.all(registries.map(async ([name, registry]) => [name, await quantiles(registry)]));
  response.end(JSON.stringify(Object.fromEntries(found)));
}

http.createServer(answer).listen(Number(process.argv[3]), "127.0.0.1");
require("../services/blocking.js");
