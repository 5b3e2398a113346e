// Leaks in one way from a moment on: `leaks.js KIND SECONDS`. It serves requests all the time, which make garbage;
// what it holds before does not change. `listeners` subscribes each session to an emitter that all share, `closure`
// keeps callbacks that each hold a big array, `map` is a cache that forgets nothing, `interval` forgets to stop
// polling. `warm` fills a cache in the first quarter of the time, `churn` keeps each session for a second.
"use strict";
const { EventEmitter } = require("events");

const STEP_MS = 50;
const [kind, seconds] = [process.argv[2], Number(process.argv[3])];
const bus = new EventEmitter();
bus.setMaxListeners(0);
const callbacks = [];
const cache = new Map();
const expected = [];

class Session {
  constructor(number) {
    this.number = number;
    this.items = Array.from({ length: 60 }, (_, index) => number + index / 7);
  }

  refresh() {
    this.number++;
  }
}

class CacheEntry {
  constructor(key) {
    this.key = `page ${key}`;
    this.body = Array.from({ length: 40 }, (_, index) => key / (index + 1));
  }
}

function subscribe(number) {
  const session = new Session(number);
  bus.on("change", function onChange() {
    session.refresh();
  });
}

function rememberCallback(number) {
  const rows = new Array(2000).fill(number / 3);
  callbacks.push(() => rows.length);
}

function lookUp(key) {
  if (!cache.has(key)) cache.set(key, new CacheEntry(key));
  return cache.get(key);
}

function watchConnection(number) {
  const connection = new Session(number);
  setInterval(() => connection.refresh(), 3_600_000).unref();
  setInterval(() => connection.refresh(), 3_600_000);
}

// What every request does: it makes a text of many objects, and keeps nothing.
function render(number) {
  const rows = Array.from({ length: 400 }, (_, index) => ({ id: number + index, of: expected.length }));
  return JSON.stringify(rows).length;
}

function visit(number) {
  const session = new Session(number);
  setTimeout(() => session.refresh(), 1000);
}

const LEAKS = {
  listeners: () => repeat(60, subscribe),
  closure: () => repeat(4, rememberCallback),
  map: () => repeat(90, lookUp),
  interval: () => repeat(45, watchConnection),
};
let made = 0;

function repeat(times, call) {
  for (let index = 0; index < times; index++) call(made++);
}

for (let index = 0; index < 40_000; index++) expected.push(new Session(index));
const began = performance.now();
setInterval(() => {
  const now = (performance.now() - began) / 1e3;
  repeat(20, render);
  if (kind === "churn") repeat(20, visit);
  else if (kind === "warm") now < seconds / 4 && repeat(60, lookUp);
  else if (now > seconds) LEAKS[kind]();
}, STEP_MS);
console.log("ready");
