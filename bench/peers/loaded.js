// The small http service with a peer in it, which BENCH_PEER names, loaded the way its own documentation says.
//
// `node loaded.js PORT`, with what `scripts/bench-packages` installs beside it. What a peer sends goes to a port of
// the loopback where nobody listens. BENCH_FASTIFY=1 has the service run on fastify.
"use strict";
const inspector = require("inspector");

const PEERS = {
  "prom-client": () => require("prom-client").collectDefaultMetrics(),
  "@prometheus-io/client": () => require("@prometheus-io/client").collectDefaultMetrics(),
  // Of its runtime metrics alone: nothing is traced.
  "dd-trace": () => require("dd-trace").init({ runtimeMetrics: true, plugins: false }),
  "blocked-at": () => require("blocked-at")(() => {}, { threshold: 100 }),
  profiler() {
    const session = new inspector.Session();
    session.connect();
    session.post("Profiler.enable");
    session.post("Profiler.setSamplingInterval", { interval: 1000 });
    session.post("Profiler.start");
  },
  "@fastify/under-pressure": (application) =>
    application.register(require("@fastify/under-pressure"), { maxEventLoopDelay: 1000 }),
};
const load = PEERS[process.env.BENCH_PEER] ?? (() => {});

if (process.env.BENCH_FASTIFY) {
  const { work, HEADERS } = require("../services/web.js");
  const application = require("fastify")();
  load(application);
  application.get("/", (request, reply) => {
    work();
    reply.headers(HEADERS).send("hello\n");
  });
  application.listen({ port: Number(process.argv[2]), host: "127.0.0.1" });
} else {
  load();
  require("../services/web.js").serve(Number(process.argv[2]));
}
