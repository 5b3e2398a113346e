'use strict';
/*
`NODE_OPTIONS="--require DIR/preload.js"` arms the probe in every Node process of a service.

The probe lies in the folder that `PROBE` names, `../node` inside the agent's own installation; `vitalsd probe
install` writes another name there. Every Node process of the service starts with this, also helpers on a Node that
the probe does not know: so it says nothing that an old one would not understand.
*/

var PROBE = '../node';

try {
  require(require('path').join(__dirname, PROBE, 'preload.js'));
} catch (error) {
  // the service must start whatever happens to the probe
}
