'use strict';
/*
Whether anybody in this process is told of asynchronous resources, by `async_hooks`: such a hook is called for each one
that is made, and must not be called in the midst of what the service is at.

Hooks are counted as they are enabled. Those that were before the probe cannot be: where something else was loaded
first, or the process ran already, the answer is that there may be some. The one that Node itself keeps for
AsyncLocalStorage runs no code of the service's; it is known by who enables it. To enable one here, only to know it,
would cost each service a fifth of the speed of its promises for good: V8 goes by whether there ever was one.
*/

const { AsyncLocalStorage, createHook } = require('node:async_hooks');

const enabled = new Set();
const nodes = new Set();
let isNodes = false;
let known = false;

/** Count them from now on; to be called before any code of the service runs. */
function watch() {
  const prototype = Object.getPrototypeOf(createHook({}));
  const { enable, disable } = prototype;
  prototype.enable = function enableHook(...given) {
    if (isNodes) nodes.add(this);
    else if (!nodes.has(this)) enabled.add(this);
    return Reflect.apply(enable, this, given);
  };
  prototype.disable = function disableHook(...given) {
    enabled.delete(this);
    return Reflect.apply(disable, this, given);
  };
  watchNodes(AsyncLocalStorage.prototype);
  known = isFirst();
}

/** Know Node's own by the first storage that is used, and leave storages alone from then on. */
function watchNodes(prototype) {
  const { _enable: enable } = prototype;
  if (typeof enable !== 'function') return; // newer ones need no hook
  prototype._enable = function enableStorage(...given) {
    if (prototype._enable === enableStorage) prototype._enable = enable;
    isNodes = true;
    try {
      return Reflect.apply(enable, this, given);
    } finally {
      isNodes = false;
    }
  };
}

/** Whether no file was loaded before the probe's own and those that have loaded them. */
function isFirst() {
  const ours = new Set();
  for (let one = module; one; one = one.parent) ours.add(one.filename);
  return Object.keys(require.cache).every((file) => ours.has(file) || file.startsWith(`${__dirname}/`));
}

/** Whether a resource may be made now without any code of the service's being run. */
function quiet() {
  return known && enabled.size === 0;
}

module.exports = { quiet, watch };
