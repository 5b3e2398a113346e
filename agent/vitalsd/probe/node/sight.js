'use strict';
/*
What the main thread itself does when it is asked where it is: no more than to make a stack, and leave all as it was.

It is called from within whatever the thread is at. How a service wants its stacks prepared is set aside for the
moment, so none of its code runs.

A callback that computes for long and a flood of ticks or promises show the same stacks. So a mark is left in both of
Node's queues, which costs them one empty call: they come to it between two of their own, or not before the callback
has ended. When that was is told with the next stack. Where the service may be told of what is put into a queue there
are no marks.
*/

const { monotonic } = require('./clock');
const { quiet } = require('./hooks');

const MOST_FRAMES = 64;
const { defineProperty, getOwnPropertyDescriptor } = Object;
const microtask = queueMicrotask;
const tick = process.nextTick;

let marked = 0;
let waiting = 0;

/** One of the queues has come to its mark. */
function mark() {
  waiting--;
  if (marked === 0) marked = monotonic();
}

/** Leave a mark in each queue; the answer is when one was come to since the last time, 0 if none was. */
function passed() {
  const at = marked;
  marked = 0;
  if (waiting === 0 && quiet()) {
    waiting = 2;
    microtask(mark);
    tick.call(process, mark);
  }
  return at;
}

/** Function, file and line; one without a name is called by the line that it begins at. */
function site(each) {
  const file = each.getFileName() ?? '';
  const name = each.getFunctionName() || (file && unnamed(each.getEnclosingLineNumber?.()));
  return [name ?? '', file, each.getLineNumber() ?? 0];
}

function unnamed(begin) {
  return begin > 0 ? `(anonymous:${begin})` : '(anonymous)';
}

function put(name, before) {
  if (before === undefined) delete Error[name];
  else defineProperty(Error, name, before);
}

/**
 * When this was; function, file and line of each frame, innermost first; when a queue was between two of its own; and
 * how long it has taken, in seconds.
 */
function sight() {
  const began = monotonic();
  const limit = getOwnPropertyDescriptor(Error, 'stackTraceLimit');
  const prepare = getOwnPropertyDescriptor(Error, 'prepareStackTrace');
  let sites = [];
  try {
    Error.stackTraceLimit = MOST_FRAMES;
    Error.prepareStackTrace = (_, found) => found;
    sites = new Error().stack;
  } finally {
    put('stackTraceLimit', limit);
    put('prepareStackTrace', prepare);
  }
  const found = sites.map(site);
  const now = monotonic();
  return [now, found, passed(), now - began];
}

module.exports = { sight };
