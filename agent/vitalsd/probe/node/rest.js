'use strict';
/*
The main thread's loop while it rests, as the watchdog sees it: what its thread waits in, and since when it was found
elsewhere.

What is seen stands for a heartbeat, so that the loop beats no more than every fourth second.
*/

const { AT } = require('./board');
const { monotonic } = require('./clock');
const { Doze, Wait } = require('./doze');
const { ON_TIME_SECONDS } = require('./layout.json');

/** A heartbeat that comes no sooner is that of a loop that is looked at. */
const SEEN_PERIOD_SECONDS = 1;
const LOOK_MS = 330;
const SILENT_LOOK_MS = 990;
const SILENT_AFTER_SECONDS = 12;
/** Of a loop that only our heartbeat has come to, in about so long as is between two of those. */
const OWN_TURNS = 2;
const COUNTED_SECONDS = 3;

class Rest {
  constructor(memory, main) {
    this._main = main;
    this._doze = new Doze(memory);
    this._wait = null;
    /** Whether the thread was seen to wait in its loop: one that is late all the same has no stack to tell of. */
    this.waits = false;
    this._turns = 0;
    this._countedAt = 0;
    this._servedAt = 0;
  }

  /** Whether the loop need not beat. */
  get isSeen() {
    return this._doze.isSeen;
  }

  /** Since when the thread was seen at something, 0 while it was not. */
  get since() {
    return this._doze.since;
  }

  /** When the loop has turned last. */
  get turnedAt() {
    return this._doze.turnedAt;
  }

  /** Sleep for so long, or until the main thread has something for the watchdog; whether it slept on. */
  sleep(milliseconds) {
    return this._doze.sleep(milliseconds);
  }

  /** While the loop beats seldom: note since when its thread has been seen at something. */
  look() {
    const { words } = this._main;
    if (words[AT.period] < SEEN_PERIOD_SECONDS || !this._wait?.isKnown) {
      this._doze.since = 0;
      this.waits = false;
      return;
    }
    const { since, turnedAt } = this._doze;
    this.waits = this._wait.inLoop();
    if (this.waits || turnedAt > since || words[AT.beatAt] > since) this._doze.since = 0;
    const now = monotonic();
    if (this._doze.since === 0 && !this.waits && now - words[AT.due] <= ON_TIME_SECONDS) this._doze.since = now;
  }

  /** See to the loop from here on, if it rests and is the only one; what is seen holds until its next beat. */
  see(isOnly) {
    const { taken, words } = this._main;
    const rests = taken && words[AT.running] === 1 && words[AT.atWork] === 0;
    if (rests && isOnly) {
      this._wait ??= new Wait(words[AT.threadId]);
      if (!this._wait.isKnown) this._wait.learn(this._doze.turnedAt);
    }
    this._doze.isSeen = rests && isOnly && this._wait.isKnown;
  }

  /** Whether the thread still waits in its loop. */
  goesOn() {
    return this._wait.inLoop();
  }

  /** It was not what it seemed. */
  forget() {
    this._wait.forget();
  }

  /** At each look at all: whether something has come to the loop in the last seconds. */
  count(now) {
    if (now - this._countedAt < COUNTED_SECONDS) return;
    this._countedAt = now;
    if (this._doze.turns > this._turns + OWN_TURNS) this._servedAt = now;
    this._turns = this._doze.turns;
  }

  /** From one look to the next, while nothing happens. */
  lookMilliseconds(now) {
    return now - this._servedAt > SILENT_AFTER_SECONDS ? SILENT_LOOK_MS : LOOK_MS;
  }
}

module.exports = { Rest };
