'use strict';
/*
How delay is booked: what a callback scheduled at a random moment waits, see `ledger.py` of the Python probe.

Within a busy stretch such a moment waits anything from its length down to 0; a heartbeat that comes late stands, with
those that it missed, for a sample each period. The first bucket is all the time that no other has.
*/

const { AT } = require('./board');
const { DELAY_BOUNDS_SECONDS: BOUNDS } = require('./layout.json');

const LAST = BOUNDS.length - 1;
const OVER = AT.over0;

function upper(index) {
  return index === LAST ? Infinity : BOUNDS[index + 1];
}

/** Book a busy stretch whose length is known. */
function bookStretch(words, seconds) {
  words[AT.square] += (seconds * seconds) / 2;
  if (seconds > words[AT.delayMax]) words[AT.delayMax] = seconds;
  for (let index = 0; index <= LAST && seconds > BOUNDS[index]; index++) {
    words[OVER + index] += Math.min(seconds, upper(index)) - BOUNDS[index];
  }
}

/** Book what a heartbeat that came `lateness` too late, and those missed since, have waited. */
function bookLateness(words, lateness, period) {
  if (lateness <= 0) return;
  if (lateness > words[AT.delayMax]) words[AT.delayMax] = lateness;
  const samples = Math.ceil(lateness / period);
  words[AT.square] += period * samples * (lateness - (period * (samples - 1)) / 2);
  for (let index = 0; index <= LAST && lateness > BOUNDS[index]; index++) {
    const beyond = Math.ceil((lateness - BOUNDS[index]) / period);
    const further = index === LAST ? 0 : Math.ceil(Math.max(0, lateness - BOUNDS[index + 1]) / period);
    words[OVER + index] += period * (beyond - further);
  }
}

module.exports = { bookLateness, bookStretch };
