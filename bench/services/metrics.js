// `metrics.js PORT CLIENT`: what prom-client, which lies at CLIENT, tells of a process by itself.
"use strict";
const http = require("node:http");
const client = require(process.argv[3]);

client.collectDefaultMetrics();
http
  .createServer(async (_request, response) => {
    response.setHeader("Content-Type", client.register.contentType);
    response.end(await client.register.metrics());
  })
  .listen(Number(process.argv[2]), "127.0.0.1");
