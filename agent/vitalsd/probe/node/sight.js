'use strict';
/*
What the main thread itself does when it is asked where it is: no more than to make a stack, and leave all as it was.

It is called from within whatever the thread is at. How a service wants its stacks prepared is set aside for the
moment, so none of its code runs.
*/

const { monotonic } = require('./clock');

const MOST_FRAMES = 64;
const { defineProperty, getOwnPropertyDescriptor } = Object;

function site(each) {
  return [each.getFunctionName() ?? '', each.getFileName() ?? '', each.getLineNumber() ?? 0];
}

function put(name, before) {
  if (before === undefined) delete Error[name];
  else defineProperty(Error, name, before);
}

/** When this was, and function, file and line of each frame, innermost first. */
function sight() {
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
  return [monotonic(), sites.map(site)];
}

module.exports = { sight };
