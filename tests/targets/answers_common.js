// What answers.js and answers.mjs do: answer over HTTP, by the primary's workers where CLUSTERED says how many.
"use strict";
const childProcess = require("child_process");
const cluster = require("cluster");
const http = require("http");

function listen() {
  const server = http.createServer((request, response) => {
    const [, what, milliseconds] = request.url.split("/");
    response.end(String(process.pid));
    if (what === "block") setImmediate(() => childProcess.execSync(`sleep ${milliseconds / 1e3}`));
  });
  server.keepAliveTimeout = 60e3;
  server.listen(0, "127.0.0.1", () => {
    if (cluster.isPrimary) console.log(`ready ${server.address().port}`);
    else process.send("listening");
  });
}

exports.serve = () => {
  for (const name of (process.env.LISTENS ?? "").split(" ").filter(Boolean)) {
    process.on(name, () => console.log(`got ${name}`));
  }
  if (process.env.FORGETS) process.on(process.env.FORGETS, () => {}).removeAllListeners(process.env.FORGETS);
  const workers = cluster.isPrimary ? Number(process.env.CLUSTERED ?? 0) : 0;
  if (workers === 0) return listen();
  let left = workers;
  for (let number = 0; number < workers; number++) {
    cluster.fork().once("message", () => --left || console.log(`ready ${Object.values(cluster.workers).map((each) => each.process.pid)}`));
  }
};
