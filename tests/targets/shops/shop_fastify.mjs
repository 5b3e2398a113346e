// The same shop on Fastify, as an ES module: plugins, schemas, hooks and a handler for errors.
import { execSync } from "node:child_process";
import { setTimeout as pause } from "node:timers/promises";
import Fastify from "fastify";

const SORTS = Array.from({ length: 100 }, (_, id) => ({ id, name: `article ${id}`, tags: ["a", "b"], price: id / 7 }));
const ARTICLES = Array.from({ length: 300_000 }, (_, index) => SORTS[index % SORTS.length]);
const sessions = new Map();
const counts = { requests: 0, answers: 0 };

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
  if (id === "0") throw Object.assign(new Error("there is no such order"), { statusCode: 404 });
  return { id, articles: [1, 2, 3], secret: "in no answer" };
}

async function sendMail(address) {
  await pause(1);
  throw new TypeError(`no mailbox of ${address}`);
}

const ORDER = {
  params: { type: "object", properties: { id: { type: "string", maxLength: 20 } } },
  response: {
    200: {
      type: "object",
      properties: { id: { type: "string" }, articles: { type: "array", items: { type: "integer" } } },
    },
  },
};

async function orders(routes) {
  routes.get("/:id", { schema: ORDER }, (request) => findOrder(request.params.id));
  routes.post("/", async (request) => ({ articles: request.body.length }));
}

async function desk(routes) {
  routes.post("/catalogue", async (request) => ({ articles: readCatalogue(request.body) }));
  routes.post("/comments", async (request) => ({ length: trimComment(request.body).length }));
  routes.get("/report", async () => ({ report: renderReport() }));
  routes.post("/sessions", async (request) => ({ articles: openSession(request.body).basket.length }));
  routes.post("/mail", async (request, reply) => {
    sendMail(request.body);
    return reply.code(202).send({ mail: "will be sent" });
  });
}

const shop = Fastify({ bodyLimit: 64 << 20, keepAliveTimeout: 60e3 });
shop.addHook("onRequest", async (request, reply) => {
  counts.requests++;
  reply.header("x-worker", String(process.pid));
});
shop.addHook("onResponse", async () => void counts.answers++);
shop.setErrorHandler((error, request, reply) => {
  console.error(`${request.method} ${request.url}: ${error.message}`);
  return reply.code(error.statusCode ?? 500).send({ problem: error.message });
});
shop.get("/", async () => ({ welcome: "to the shop" }));
shop.get("/articles", async () => ARTICLES);
shop.register(orders, { prefix: "/orders" });
shop.register(desk);

process.on("unhandledRejection", (error) => console.error(`left behind: ${error.message}`));
process.once("SIGTERM", () => shop.close());
await shop.listen({ port: 0, host: "127.0.0.1" });
console.log(`ready ${shop.server.address().port}`);
