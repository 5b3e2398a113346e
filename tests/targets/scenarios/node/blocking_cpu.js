// A request handler that parses a big body and writes it out again: nothing else gets a turn until it is done.
"use strict";
const http = require("http");
const { now, play } = require("./scenery.js");

const items = Array.from({ length: 20000 }, (_, id) => ({ id, name: `item ${id}`, prices: [id, id * 2.5], sold: false }));
const body = JSON.stringify(items);
let asked = 0;
let span;

function importCatalogue(request, response) {
  const began = now();
  const end = Date.now() + asked * 1000;
  let size = 0;
  while (Date.now() < end) size += JSON.stringify(JSON.parse(body)).length;
  span = { began, ended: now() };
  response.end(String(size));
}

const server = http.createServer(importCatalogue);

function request(seconds) {
  asked = seconds;
  return new Promise((resolve, reject) => {
    const { port } = server.address();
    http.get({ port, host: "127.0.0.1" }, (answer) => answer.resume().on("end", () => resolve(span))).on("error", reject);
  });
}

server.listen(0, "127.0.0.1", () => play(request, "blocking_cpu", "importCatalogue"));
