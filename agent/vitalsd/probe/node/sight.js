'use strict';
/*
What the main thread itself does when it is asked where it is: no more than to make a stack, and leave all as it was.

It is called from within whatever the thread is at. How a service wants its stacks prepared is set aside for the
moment, so none of its code runs.

A callback that computes for long and a flood of ticks or promises show the same stacks. So a mark is left in the
queue of microtasks, which costs it one empty call: V8 comes to it between two of its own, or not before the callback
has ended. When that was is told with the next stack. Where the service may be told of what is put into a queue there
are no marks.

In the queue of ticks there is none ever. Node may have found it empty and be about to note so, and with a tick that is
put there in between it would call none any more. But each tick has a number of its own while it is called, and two
numbers in two stacks are two ticks.
*/

const { executionAsyncId } = require('node:async_hooks');

const { monotonic } = require('./clock');
const { quiet } = require('./hooks');

const MOST_FRAMES = 64;
const { defineProperty, getOwnPropertyDescriptor } = Object;
const microtask = queueMicrotask;
/** Who gives what it calls a number of its own. */
const SCOPES = new Set(['runInAsyncScope', 'callbackTrampoline']);

let marked = 0;
let isWaiting = false;
let tick = { number: 0, at: 0 };

/** The queue of microtasks has come to its mark. */
function mark() {
  isWaiting = false;
  marked = monotonic();
}

/** Leave a mark among the microtasks; the answer is when one was come to since the last time, 0 if none was. */
function passed() {
  const at = marked;
  marked = 0;
  if (!isWaiting && quiet()) {
    isWaiting = true;
    microtask(mark);
  }
  return at;
}

/** When another tick than now was at work in the queue that these frames are called from, 0 if it is not known. */
function ticked(frames, now) {
  const outside = frames.findIndex(([name, file]) => name === 'processTicksAndRejections' && file.startsWith('node:'));
  if (outside < 0) {
    tick = { number: 0, at: 0 };
    return 0;
  }
  if (frames.slice(0, outside).some(([name, file]) => SCOPES.has(name) && file.startsWith('node:'))) return 0;
  const before = tick;
  tick = { number: executionAsyncId(), at: now };
  return before.number !== tick.number ? before.at : 0;
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
 * When this was; function, file and line of each frame, innermost first; when one of Node's queues was between two of
 * its own; and how long this has taken, in seconds.
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
  return [now, found, Math.max(passed(), ticked(found, now)), now - began];
}

module.exports = { sight };
