'use strict';
/*
Measures one event loop, from its own thread.

At work it is a heartbeat on an absolute grid of 20 ms: one that comes late shows what every callback due meanwhile
has waited, and those that it missed are filled in. Where the loop has something to do for more than a fifth of its
time, 45 ms cost less than half, and still tell 22 times a second what is waited. At rest, after some 15 s with next to
nothing to do, a heartbeat would cost more than all the rest: it comes every 320 ms, every 4 s where the watchdog sees
what the thread waits in, and each turn of the loop is measured instead, by an immediate that wakes nobody: what libuv
has waited is known to it, and what else a turn has taken is its busy stretch. Busy and idle time are libuv's own in
all cases: what `eventLoopUtilization` says, our beats included.

A timer of Node has a grain of a millisecond; what is due is taken to be so when its timer can come at the earliest.
*/

const { clearTimeout, setImmediate, setTimeout } = require('node:timers');

const { AT, FIRST_SAMPLE, KEPT_STALLS, STALLS, STALL_FIELDS } = require('./board');
const { monotonic, performance } = require('./clock');
const { bookLateness, bookStretch } = require('./delay');
const layout = require('./layout.json');

const PERIOD = layout.DELAY_INTERVAL_SECONDS;
const REST_PERIOD = 16 * PERIOD;
const SEEN_PERIOD = 200 * PERIOD;
/** After a stall at rest: it is counted by the next beat, and not by one that is seconds off. */
const AFTER_STALL_SECONDS = 2 * PERIOD;
const FULL_PERIOD = 2.25 * PERIOD;
/** Between two readings of what the thread has had of the processor, of which each takes as long as a beat. */
const CPU_SECONDS = 0.3;
const AWAKE_SECONDS = 15;
const LATELY_SECONDS = 3;
const BUSY_SHARE = 0.01;
const FULL_SHARE = 0.2;
const FIRST_SHARE = 2.7 * BUSY_SHARE;
const ON_TIME = layout.ON_TIME_SECONDS;
const LONG = layout.LONG_BUSY_SECONDS;
const GRAIN = 0.001;
const QUIET_SECONDS = 0.0005;

const timing = performance.nodeTiming;
/** Seconds that this thread's loop has waited for events. */
const waited = () => timing.idleTime / 1e3;
/** How many events it was woken by, where Node tells. */
const woken = () => timing.uvMetricsInfo?.events ?? NaN;

class Meter {
  /**
   * `cpu` tells the CPU seconds of this thread, `collections` what was collected within a time, and `doze` what the
   * watchdog sees of the thread at rest.
   */
  constructor(part, { threshold, cpu, collections, doze, failed }) {
    this._part = part;
    this._threshold = threshold;
    // By the time at which the watchdog looks the next beat is to have come: it then looks with every other one.
    this._fullPeriod = FULL_PERIOD <= threshold * FIRST_SAMPLE ? FULL_PERIOD : PERIOD;
    this._cpu = cpu;
    this._collections = collections;
    this._doze = doze;
    this._failed = failed;
    /** Which part of its time this loop is at work, as its rest is decided by, and lately. */
    this._share = this._lately = FIRST_SHARE;
    this._period = PERIOD;
    this._beatCost = 1e-4;
    this._unbooked = 0;
    this._ended = null;
    this._lateDue = 0;
    this._resting = false;
    this._stopped = false;
    this._stalls = part.words[AT.stalls];
    this._timers = new Map();
    this._beat = this._guard(this._onBeat);
    this._turn = this._guard(this._onTurn);
    /** Called at each beat, with the time and whether the loop rests. */
    this.onBeat = () => {};
  }

  /** Begin, in the loop's own thread. */
  start() {
    this._at = monotonic();
    this._waited = waited();
    this._active = 0;
    this._rebase(this._at);
    this._period = PERIOD;
    this._due = this._at + PERIOD;
    this._part.write((words) => {
      words[AT.running] = 1;
      this._tell(words);
    });
    this._again(this._at);
  }

  /** The process ends: book what the loop is in the middle of. */
  end() {
    this._beat();
    this._turn();
    this._close(Infinity);
    this.stop();
  }

  /** Leave the loop alone from now on. */
  stop() {
    this._stopped = true;
    this._part.write((words) => {
      words[AT.running] = words[AT.due] = 0;
    });
  }

  _guard(method) {
    return () => {
      if (this._stopped) return;
      try {
        method.call(this);
      } catch (error) {
        this._stopped = true;
        this._failed(error);
      }
    };
  }

  _again(now) {
    const wait = Math.max(1, Math.round((this._due - now) * 1e3));
    this._earliest = now + wait / 1e3 + GRAIN;
    // One timer for each wait that there is, since to make one costs more than to begin it anew.
    const known = this._timers.get(wait);
    this._wait = wait;
    this._timer = known !== undefined ? known.refresh() : setTimeout(this._beat, wait).unref();
    if (known === undefined) this._timers.set(wait, this._timer);
  }

  /** At rest, have the next beat come by then, after a period that is so much shorter. */
  _beatBy(now, due) {
    if (this._due <= due) return;
    clearTimeout(this._timer);
    this._timers.delete(this._wait);
    this._period -= this._due - due;
    this._due = due;
    this._part.write((words) => {
      words[AT.due] = due;
    });
    this._again(now);
  }

  _onBeat() {
    const now = monotonic();
    const late = now - Math.max(this._due, this._earliest);
    const active = this._takeActive(now);
    this._close(now);
    if (this._resting) {
      if (late > ON_TIME) this._lateAtRest(now, late);
    } else if (late > ON_TIME) {
      this._stall(now, this._due, this._stretch(late, active, now));
    }
    this._part.write((words) => this._book(words, now, late, active));
    if (late > LONG || now - this._baseAt >= CPU_SECONDS) this._rebase(now);
    this._again(now);
    const resting = this._period >= REST_PERIOD;
    if (resting && !this._resting) this._rest(now);
    this._resting = resting;
    this._collections.look(now);
    this.onBeat(now, resting);
  }

  _nextPeriod() {
    if (this._share <= BUSY_SHARE) return this._doze.isSeen ? SEEN_PERIOD : REST_PERIOD;
    return this._lately <= FULL_SHARE ? PERIOD : this._fullPeriod;
  }

  /** What this loop was active since the last beat. */
  _takeActive(now) {
    const total = waited();
    const active = Math.max(0, now - this._at - (total - this._waited));
    this._waited = total;
    this._active += active;
    return active;
  }

  /** The length of the stretch that has made a beat late: the rest of what was active lies about evenly before. */
  _stretch(late, active, now) {
    const elapsed = now - this._at;
    const share = Math.min(0.9, this._share, this._lately);
    // Stopped in its wait, or without a processor, it was late all the same, whatever libuv takes that time for.
    return Math.max(late, Math.min(active, (active - share * elapsed) / (1 - share)));
  }

  /**
   * Book the time up to the last point of the grid, in whole periods, one for each sample, and say when the next beat
   * is due. All at once and no more than that: what a beat costs is mostly that its code is not in the caches.
   */
  _book(words, now, late, active) {
    const period = this._period;
    const samples = late > 0 ? Math.floor(late / period) + 1 : 1;
    const elapsed = samples * period;
    this._weigh(active, elapsed);
    this._unbooked += active;
    const booked = Math.min(this._unbooked, elapsed);
    this._unbooked -= booked;
    words[AT.busy] += booked;
    words[AT.idle] += elapsed - booked;
    words[AT.ownSeconds] += this._beatCost;
    if (!this._resting) bookLateness(words, late, period);
    let reached = this._due + elapsed - period;
    this._period = this._nextPeriod();
    if (this._period < period && now > reached) {
      // The rest of a long period, before short ones begin.
      words[AT.idle] += now - reached;
      reached = now;
    }
    this._at = now;
    this._due = reached + this._period;
    this._tell(words);
  }

  /** Learn how much of its time this loop is at work. */
  _weigh(active, elapsed) {
    if (active < QUIET_SECONDS && this._period === PERIOD) {
      // What a beat itself costs is what the cheaper third of them take between which little else is done.
      const cost = Math.min(this._beatCost, active * 2);
      this._beatCost = Math.max(0, cost + (active > cost ? 1e-6 : -2e-6));
    }
    const work = Math.max(0, active - this._beatCost);
    this._share += (work / elapsed - this._share) * Math.min(1, elapsed / AWAKE_SECONDS);
    // However long a stall was, the loop does not beat seldom after it for that.
    this._lately += ((work / elapsed - this._lately) * Math.min(this._period, LATELY_SECONDS)) / LATELY_SECONDS;
  }

  /** When the next beat is due, and what the watchdog goes by. */
  _tell(words) {
    words[AT.due] = this._due;
    words[AT.beatAt] = this._at;
    words[AT.period] = this._period;
    words[AT.atWork] = this._share > BUSY_SHARE ? 1 : 0;
  }

  /** What a stall has taken of the processor is counted from here. */
  _rebase(now) {
    this._baseAt = now;
    this._baseCpu = this._cpu();
    this._baseActive = this._active;
  }

  /** From here on each turn is measured. */
  _rest(now) {
    this._turnAt = this._toldUntil = now;
    this._turnWaited = waited();
    this._turnWoken = woken();
    this._lateDue = 0;
    setImmediate(this._turn).unref();
  }

  /** A beat came late: turns tell of what was computed, and of nothing else that kept the loop, such as SIGSTOP. */
  _lateAtRest(now, late) {
    const computed = now - this._turnAt - (waited() - this._turnWaited);
    const told = Math.max(0, this._toldUntil - this._due);
    if (late - told - computed <= ON_TIME) {
      this._lateDue = this._due;
      return;
    }
    this._part.write((words) => bookStretch(words, late));
    this._stall(now, this._due, late);
  }

  _onTurn() {
    if (!this._resting) return;
    const now = monotonic();
    const total = waited();
    const events = woken();
    const idle = total - this._turnWaited;
    const active = now - this._turnAt - idle;
    if (active > layout.DELAY_BOUNDS_SECONDS[0]) {
      // A turn that no event has ended was busy before it waited: with timers, that come first.
      const began = events === this._turnWoken ? this._turnAt : now - active;
      this._part.write((words) => bookStretch(words, active));
      this._toldUntil = began + active;
      const due = this._lateDue || (this._due < now - ON_TIME && this._due >= began ? this._due : 0);
      const seen = this._doze.since;
      this._stall(began + active, seen > began && seen < now ? seen : due || began, active);
      if (active >= this._threshold) this._beatBy(now, now + AFTER_STALL_SECONDS);
    }
    this._lateDue = 0;
    this._turnAt = now;
    this._doze.turned(now);
    this._turnWaited = total;
    this._turnWoken = events;
    setImmediate(this._turn).unref();
  }

  /** A stretch that is over: remembered for a beat, by when it is known what was collected meanwhile. */
  _stall(ended, since, seconds) {
    if (seconds < this._threshold) return;
    this._close(ended);
    const others = Math.max(0, this._active - this._baseActive - seconds);
    const cpu = Math.max(0, this._cpu() - this._baseCpu - others);
    this._ended = { since, seconds, ended, cpu: Math.min(seconds, cpu), unix: Date.now() / 1e3 - (monotonic() - ended) };
  }

  /** Count the stall that is remembered. */
  _close(now) {
    const ended = this._ended;
    if (ended === null || now - ended.ended < ON_TIME) return;
    this._ended = null;
    const collected = Math.min(ended.seconds, this._collections.within(ended.ended - ended.seconds, ended.ended));
    const number = (this._stalls += 1);
    const at = STALLS + (number % KEPT_STALLS) * STALL_FIELDS.length;
    this._part.write((words) => {
      words[AT.stalls] += 1;
      words[AT.stallSeconds] += ended.seconds;
      words.set([number, ended.since, ended.unix, ended.seconds, ended.cpu, collected], at);
    });
  }
}

module.exports = { Meter };
