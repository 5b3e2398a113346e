'use strict';
/*
The Node probe: a guest in somebody else's process. No dependency, Node 18 and newer, CommonJS, loaded by `--require`.

This file is all that a short script pays for: a timer that does not keep it alive. A process that still runs an
event loop a second later gets the rest. Any failure disables the probe and nothing else.
*/

try {
  require('./arm').arm();
} catch {
  // the service must start whatever happens to the probe
}
