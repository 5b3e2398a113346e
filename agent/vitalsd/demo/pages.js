'use strict';
/*
The Node service of `vitalsd demo`: http, in one worker of Node's cluster, with a fault behind each path of `/fault/`.

`node --expose-gc pages.js PORT`. The primary starts the worker again whenever it dies. Each fault lasts for some
seconds, in slices, so that the worker answers between them and ends when its primary does. The functions carry names
as they might stand in a real service, since these are what stacks and incidents show. What a fault leaves behind is
given back by `/fault/calm`.
*/

const cluster = require('node:cluster');
const http = require('node:http');
const { execSync } = require('node:child_process');
const { EventEmitter } = require('node:events');

const HOST = '127.0.0.1';
const DEFAULT_SECONDS = 4;
const MAX_SECONDS = 60;
const RESTART_MS = 500;

const BLOCK_MS = 1000;
const FLOOD_MS = 1200;
const PAUSE_MS = 600;
const SESSIONS = 5e5;
const COLLECTIONS = 8;
const LISTENERS_AT_ONCE = 10;
/** About 80 MiB, of 20 kB each: after twenty seconds, as long as a capture may have to wait for another. */
const MAX_LISTENERS = 4000;

const NOT_UNDERSTOOD = [400, 'This is no path.\n'];
const CATALOGUE = Array.from({ length: 2000 }, (_, sku) => ({ sku, title: `title ${sku}`, stock: [sku, 1, 2] }));

/** What faults leave behind until they are ended. */
let prices = new EventEmitter();
let timers = new Set();

/** Call `work` at once, and again with a pause, until the time is up. */
function repeat(seconds, pause, work) {
  const until = performance.now() + seconds * 1000;
  const timer = setInterval(() => {
    if (performance.now() > until) stop(timer);
    else work();
  }, pause);
  timers.add(timer);
  work();
}

function stop(timer) {
  clearInterval(timer);
  timers.delete(timer);
}

/** A deep copy by way of text, over and over: each is short, and all of them are a second. */
function copyWholeCatalogue() {
  const until = performance.now() + BLOCK_MS;
  while (performance.now() < until) JSON.parse(JSON.stringify(CATALOGUE));
}

/** A program is waited for, and so does everybody else. */
function resizePicture() {
  execSync('sleep 1.2');
}

/** A tick that asks for the next one, so that the loop never comes to its events. */
function pollQueue(until) {
  for (let number = 0; number < 2000; number++);
  if (performance.now() < until) process.nextTick(pollQueue, until);
}

/** Objects that point at each other, and full collections while all of them are needed. */
function rebuildEverySession() {
  const sessions = Array.from({ length: SESSIONS }, (_, number) => ({ number, next: null }));
  for (let index = 1; index < SESSIONS; index++) sessions[index].next = sessions[(index * 7919) % SESSIONS];
  for (let times = 0; times < COLLECTIONS; times++) global.gc();
  return sessions.length;
}

/** A listener for each visitor, with what it remembers, and none is ever taken away. */
function subscribeToPrices() {
  if (prices.listenerCount('change') >= MAX_LISTENERS) return;
  for (let number = 0; number < LISTENERS_AT_ONCE; number++) {
    const seen = new Array(2500).fill(number);
    prices.on('change', () => seen.push(number));
  }
}

/** Fail where nobody awaits it. */
async function chargeCard() {
  await null;
  throw new RangeError('the bank has no such account');
}

/** Fail where nobody can catch it. */
function renderMissingTemplate() {
  throw new TypeError('the template is not there');
}

const FAULTS = {
  big_json: (seconds) => repeat(seconds, PAUSE_MS, copyWholeCatalogue),
  exec_sync: (seconds) => repeat(seconds, PAUSE_MS, resizePicture),
  tick_flood: (seconds) => repeat(seconds, PAUSE_MS, () => pollQueue(performance.now() + FLOOD_MS)),
  big_gc: (seconds) => repeat(seconds, PAUSE_MS, rebuildEverySession),
  listener_leak: (seconds) => repeat(seconds, 50, subscribeToPrices),
  rejections: (seconds) => repeat(seconds, 100, () => void chargeCard()),
  uncaught: () => setTimeout(renderMissingTemplate, 50), // the answer to who asked for it leaves first
};

function calm() {
  for (const timer of timers) stop(timer);
  prices = new EventEmitter();
}

/** Status and text for one request. */
function respond(method, target) {
  const url = new URL(`http://${HOST}${target}`);
  if (method !== 'GET') return [405, 'Only GET is understood.\n'];
  const names = Object.keys(FAULTS);
  if (url.pathname === '/') {
    const paths = names.map((name) => `/fault/${name}?seconds=${DEFAULT_SECONDS}\n`).join('');
    return [200, `These are the demo's pages, and process ${process.pid} answers.\n\n${paths}/fault/calm\n`];
  }
  const name = /^\/fault\/(\w+)$/.exec(url.pathname)?.[1];
  if (name === 'calm') {
    calm();
    return [200, 'All faults are off.\n'];
  }
  if (!names.includes(name)) {
    return [404, `There is no ${url.pathname}: the faults are ${names.join(', ')} and calm.\n`];
  }
  const seconds = Number(url.searchParams.get('seconds') ?? DEFAULT_SECONDS);
  if (!(seconds > 0 && seconds <= MAX_SECONDS)) return [400, `Give seconds above 0 and up to ${MAX_SECONDS}.\n`];
  setImmediate(() => FAULTS[name](seconds));
  return [200, `The fault ${name} is on for ${seconds} s.\n`];
}

function serve(port) {
  process.on('unhandledRejection', () => {}); // as services do that would rather live on
  const server = http.createServer((request, response) => {
    const [status, text] = request.url.startsWith('/') ? respond(request.method, request.url) : NOT_UNDERSTOOD;
    const type = 'text/plain; charset=utf-8';
    response.writeHead(status, { 'Content-Type': type, 'Worker-Pid': process.pid, Connection: 'close' });
    response.end(text);
  });
  server.listen(port, HOST);
}

if (cluster.isPrimary) {
  cluster.on('exit', () => setTimeout(() => cluster.fork(), RESTART_MS));
  cluster.fork();
} else {
  serve(Number(process.argv[2]));
}
