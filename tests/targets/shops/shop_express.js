// A shop on Express: a body parser, a router, middleware, handlers that wait and one for errors. Three routes block,
// one has all too much to answer, one keeps what it makes, and mail is sent by nobody who waits for it. With WORKERS,
// so many of Node's cluster serve.
"use strict";
const { execSync } = require("node:child_process");
const cluster = require("node:cluster");
const { setTimeout: pause } = require("node:timers/promises");
const express = require("express");

const SORTS = Array.from({ length: 100 }, (_, id) => ({ id, name: `article ${id}`, tags: ["a", "b"], price: id / 7 }));
const ARTICLES = Array.from({ length: 300_000 }, (_, index) => SORTS[index % SORTS.length]);
const sessions = new Map();
const counts = { requests: 0 };

class Session {
  constructor(user) {
    this.user = user;
    this.basket = Array.from({ length: 50 }, (_, index) => ({ article: index, price: index / 7 }));
  }
}

// Nobody ever takes one out.
function openSession(user) {
  const session = new Session(user);
  sessions.set(sessions.size, session);
  return session;
}

function readCatalogue(text) {
  const byName = new Map();
  for (const article of JSON.parse(text)) byName.set(article.name, article);
  return byName.size;
}

// Takes the square of the length of blanks that something else follows.
function trimComment(text) {
  return text.replace(/\s+$/, "");
}

function renderReport() {
  return execSync("sleep 0.4 && echo sold out").toString();
}

async function findOrder(id) {
  await pause(1);
  if (id === "0") throw Object.assign(new Error("there is no such order"), { status: 404 });
  return { id, articles: [1, 2, 3] };
}

async function sendMail(address) {
  await pause(1);
  throw new TypeError(`no mailbox of ${address}`);
}

function countRequest(request, response, next) {
  counts.requests++;
  response.set("x-worker", String(process.pid));
  next();
}

function answerError(error, request, response, next) {
  if (response.headersSent) return next(error);
  console.error(`${request.method} ${request.originalUrl}: ${error.message}`);
  response.status(error.status ?? 500).json({ problem: error.message });
}

const orders = express.Router();
orders.get("/:id", async (request, response) => response.json(await findOrder(request.params.id)));
orders.post("/", express.json({ limit: "64mb" }), (request, response) => {
  response.json({ articles: request.body.length });
});

const shop = express();
shop.use(countRequest);
shop.get("/", (request, response) => response.json({ welcome: "to the shop" }));
shop.use("/orders", orders);
shop.get("/articles", async (request, response) => response.json(ARTICLES));
shop.use(express.text({ limit: "64mb" }));
shop.post("/catalogue", (request, response) => response.json({ articles: readCatalogue(request.body) }));
shop.post("/comments", (request, response) => response.json({ length: trimComment(request.body).length }));
shop.get("/report", (request, response) => response.json({ report: renderReport() }));
shop.post("/sessions", (request, response) => response.json({ articles: openSession(request.body).basket.length }));
shop.post("/mail", (request, response) => {
  sendMail(request.body);
  response.status(202).json({ mail: "will be sent" });
});
shop.use(answerError);

process.on("unhandledRejection", (error) => console.error(`left behind: ${error.message}`));

function serve() {
  const server = shop.listen(0, "127.0.0.1", () => cluster.isPrimary && console.log(`ready ${server.address().port}`));
  server.keepAliveTimeout = 60e3;
  process.once("SIGTERM", () => server.close(() => cluster.isWorker && process.disconnect()));
}

function lead(workers) {
  let ending = false;
  let listening = 0;
  cluster.on("listening", (_, address) => ++listening === workers && console.log(`ready ${address.port}`));
  cluster.on("exit", () => ending || cluster.fork());
  process.once("SIGTERM", () => {
    ending = true;
    for (const worker of Object.values(cluster.workers)) worker.process.kill();
  });
  for (let number = 0; number < workers; number++) cluster.fork();
}

if (cluster.isPrimary && process.env.WORKERS) lead(Number(process.env.WORKERS));
else serve();
