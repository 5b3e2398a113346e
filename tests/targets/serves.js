// A small http service of Node: each request computes for a moment in `renderPage`, and `/keep` keeps sessions for ever.
// With BLOCK_MS it blocks for so long every 1.5 s.
"use strict";
const http = require("http");
const sessions = new Map();

class Session {
  constructor(id) {
    this.id = id;
    this.note = `secret of customer ${id}`;
    this.marks = [id, id + 1];
  }
}

function renderPage(milliseconds) {
  const end = performance.now() + milliseconds;
  let sum = 0;
  while (performance.now() < end) sum += Math.sqrt(sum + 1);
  return sum;
}

function keepSessions(count) {
  for (let index = 0; index < count; index++) sessions.set(sessions.size, new Session(sessions.size));
}

const routes = {
  "/long": () => renderPage(100),
  "/keep": () => setImmediate(keepSessions, 200),
  "/leave": () => setTimeout(() => process.exit(7), 20),
  "/native": () => require("child_process").execSync("sleep 7"),
};

const server = http.createServer((request, response) => {
  renderPage(2);
  routes[request.url]?.();
  response.end("served");
});
server.listen(0, "127.0.0.1", () => console.log(`ready ${server.address().port}`));
if (process.env.BLOCK_MS) setInterval(() => renderPage(Number(process.env.BLOCK_MS)), 1500);
