'use strict';
/*
The watchdog: a thread of the probe's own that publishes what the loops' threads have written, and looks into the
one that does not come back.

It sleeps until the heartbeat that comes next would be late by more than a stall may last before its stack is worth
taking; while loops are at work that is eleven to seventeen times a second. Where there is one loop and it rests, it dozes: it
looks three times a second, once where nothing has come to the loop for a while, whether the main thread waits in its
loop, which then beats no more than every fourth second; one found elsewhere is late from that look on. What it
publishes as `due` while all is well lies ahead of its own next look: who reads must not take a loop for late that was
only not looked at.
*/

const { parentPort, workerData } = require('node:worker_threads');

const { AT, FIRST_SAMPLE, GC, GC_WORDS, KEPT_STALLS, Leaving, Part, STALLS, STALL_FIELDS, WORDS } = require('./board');
const { monotonic } = require('./clock');
const { Control } = require('./control');
const { cpuReader } = require('./cpu');
const layout = require('./layout.json');
const { Rest } = require('./rest');
const { Segment, records } = require('./segment');
const { Sessions } = require('./sessions');
const { Stacks } = require('./stacks');
const { StallBook, encodeOne } = require('./stalls');

const SAMPLE_GROWTH = 1.4;
const MOST_SAMPLE_SECONDS = 1;
const STALLING_SECONDS = 0.01;
const LONGEST_SLEEP_SECONDS = 0.5;
const AHEAD_SECONDS = 3;
/** Between what is published of loops that are on time. */
const PUBLISH_SECONDS = 1;
const PUBLISH_WHOLE_LIFE_SECONDS = 0.25;
/** Between turns of this thread's own loop, which serves the control socket. */
const TURN_SECONDS = 2;
/** What is published of a loop that rests is so after its heartbeat, when the processor is awake. */
const AFTER_BEAT_SECONDS = 0.02;
const ON_TIME = layout.ON_TIME_SECONDS;
const ownCpuSeconds = cpuReader();
/** The stack of a moment at which nothing but the queue of ticks and microtasks was at work. */
const QUEUE = [['processTicksAndRejections', 'node:internal/process/task_queues', 0]];

/** As a wait has them: never none. */
function milliseconds(seconds) {
  return Math.max(1, Math.ceil(seconds * 1e3));
}

/** Where a thread is that has just come back to its loop, and has called nobody yet. */
const BACK = new Set(['processTimers', 'processImmediate']);

function isBack(frames) {
  return frames.length === 1 && BACK.has(frames[0][0]) && frames[0][1].startsWith('node:');
}

class Watchdog {
  constructor({ memory, threshold, folder, target, wholeLife }) {
    this._segment = new Segment({ folder, target, threshold });
    this._stalls = new StallBook(this._segment);
    this._leaving = new Leaving(memory);
    this._sessions = new Sessions(this._leaving);
    this._stacks = new Stacks(this._sessions);
    this._control = new Control(this._segment.path, { memory, leaving: this._leaving, sessions: this._sessions });
    this._wholeLife = wholeLife;
    this._first = threshold * FIRST_SAMPLE;
    this._parts = Array.from({ length: layout.LOOPS }, (_, slot) => new Part(memory, slot));
    this._rest = new Rest(memory, this._parts[0]);
    this._seen = this._parts.map(() => new Float64Array(WORDS));
    /** Those whose loops ran when this thread looked last; naps go on with them. */
    this._running = [];
    this._told = this._parts.map(() => 0);
    this._flushedAt = this._parts.map(() => 0);
    this._late = this._parts.map(() => ({ since: 0, next: 0 }));
    this._publishSeconds = wholeLife ? PUBLISH_WHOLE_LIFE_SECONDS : PUBLISH_SECONDS;
    this._publishAt = this._flushAt = 0;
    this._failed = false;
    parentPort.on('message', (message) => this._guarded(() => this._onMessage(message)));
    parentPort.postMessage({ segment: this._segment.path });
    this._control.listen();
    this._again(0);
  }

  /** Do it; after an error nothing more, but stay: a thread that ends with a session open may take the service along. */
  _guarded(work) {
    if (this._failed) return;
    try {
      work();
    } catch (error) {
      this._failed = true;
      this._control.close();
      this._stacks.close();
      this._sessions.closeAll();
      try {
        this._segment.turnOff(`${error?.name}: ${error?.message}`);
      } catch {
        // it cannot be told
      }
    }
  }

  _again(milliseconds) {
    setTimeout(() => this._guarded(() => this._look()), milliseconds);
  }

  _look() {
    if (this._leaving.begun) {
      this._sessions.closeAll();
      return;
    }
    this._rest.look();
    this._running = this._parts.filter((part) => part.taken && part.words[AT.running] === 1);
    const now = monotonic();
    const sleep = this._calmFor(now) || this._lookAtAll(now);
    if (this._mayDoze()) this._sleepOn();
    else if (this._mayNap()) this._nap(sleep);
    else this._again(milliseconds(sleep));
  }

  /** Whether all there is to do is to look at the heartbeats of loops that are at work. */
  _mayNap() {
    return !this._rest.isSeen && this._control.isIdle && this._late.every((late) => late.since === 0);
  }

  /** Sleep until there is something to publish or to look into; then let this thread's own loop turn once. */
  _nap(sleep) {
    for (let rest = sleep; rest > 0; rest = this._calmFor(monotonic())) {
      if (!this._rest.sleep(milliseconds(rest)) || this._leaving.begun) break;
    }
    this._soon(() => this._look());
  }

  /** Whether no more is to be done than to look now and then what the main thread waits in. */
  _mayDoze() {
    if (this._wholeLife) return false;
    this._rest.see(!this._parts.some((part) => part.slot > 0 && part.taken && part.words[AT.running] === 1));
    return this._rest.isSeen && this._rest.since === 0 && this._late[0].since === 0 && this._control.isIdle;
  }

  /** Doze until there is something to publish or to look into, while this thread's own loop turns now and then. */
  _sleepOn() {
    const { words } = this._parts[0];
    const began = monotonic();
    const look = this._rest.lookMilliseconds(began);
    for (let now = began; now < began + TURN_SECONDS - look / 2e3; now = monotonic()) {
      const awoken = !this._rest.sleep(Math.min(look, milliseconds(this._flushAt - now)));
      if (awoken || monotonic() >= this._flushAt || words[AT.stalls] !== this._told[0] || !this._rest.goesOn()) {
        this._soon(() => this._look());
        return;
      }
    }
    this._soon(() => (this._control.isIdle && !this._leaving.begun ? this._sleepOn() : this._look()));
  }

  _soon(work) {
    setImmediate(() => this._guarded(work));
  }

  /** When this loop was to come back at the latest: by its heartbeat, or since it was seen at something. */
  _dueOf({ slot, words }) {
    return (slot === 0 && this._rest.since) || words[AT.due];
  }

  /** How long nothing needs another look, if there is nothing to tell either; else 0. */
  _calmFor(now) {
    if (now >= this._flushAt) return 0;
    let sleep = LONGEST_SLEEP_SECONDS;
    for (const part of this._running) {
      const { slot, words } = part;
      const due = this._dueOf(part);
      const told = words[AT.stalls] === this._told[slot] && this._late[slot].since === 0;
      if (!told || now - due >= this._first) return 0;
      sleep = Math.min(sleep, due + this._first - now);
    }
    return sleep;
  }

  /** Publish all there is, and look at the loops that are late; the answer is how long nothing needs another look. */
  _lookAtAll(now) {
    const { words: main } = this._parts[0];
    const beat = main[AT.due] + AFTER_BEAT_SECONDS;
    this._flushAt = this._rest.isSeen && beat > now ? beat : now + this._publishSeconds;
    this._rest.count(now);
    let sleep = LONGEST_SLEEP_SECONDS;
    const sinces = new Array(layout.LOOPS).fill(0);
    const dues = new Array(layout.LOOPS).fill(0);
    for (const part of this._parts) {
      if (!part.taken) continue;
      const words = this._seen[part.slot];
      if (part.read(words)) this._flush(part.slot, words, now);
      if (words[AT.running] !== 1) {
        if (this._late[part.slot].since !== 0) this._over(part.slot);
        continue;
      }
      sinces[part.slot] = -words[AT.beatAt];
      sleep = Math.min(sleep, this._lookAt(part, words, now, dues));
    }
    if (now >= this._publishAt) this._publish(now);
    this._segment.mark(sinces, dues);
    return sleep;
  }

  /** Publish the books of a loop, and the stalls that have ended since. */
  _flush(slot, words, now) {
    if (words[AT.beatAt] === this._flushedAt[slot] && words[AT.stalls] === this._told[slot]) return;
    this._flushedAt[slot] = words[AT.beatAt];
    const over = words.subarray(AT.over0, AT.over0 + layout.DELAY_BOUNDS_SECONDS.length);
    const newest = words[AT.stalls];
    for (let number = Math.max(this._told[slot] + 1, newest - KEPT_STALLS + 1); number <= newest; number++) {
      const at = STALLS + (number % KEPT_STALLS) * STALL_FIELDS.length;
      const stall = Object.fromEntries(STALL_FIELDS.map((name, index) => [name, words[at + index]]));
      this._stalls.ended(slot, stall);
    }
    this._told[slot] = newest;
    this._segment.put(
      records.LOOP,
      slot,
      [
        ...[1, layout.HEARTBEAT, words[AT.threadId], words[AT.running], words[AT.beatAt]],
        ...[words[AT.busy], words[AT.idle], NaN, words[AT.square], words[AT.delayMax]],
        ...[words[AT.stalls], words[AT.stallSeconds], NaN, NaN, ...over],
      ],
      slot === 0 ? 'main' : 'worker',
    );
  }

  /** Follow one that is late; the answer is how long nothing needs another look. */
  _lookAt(part, words, now, dues) {
    const { slot } = part;
    const due = this._dueOf(part);
    const age = now - due;
    const late = this._late[slot];
    if (age <= ON_TIME) {
      dues[slot] = Math.max(now, this._flushAt) + AHEAD_SECONDS;
      if (late.since !== 0) this._over(slot);
      return Math.max(0.002, due + this._first - now);
    }
    dues[slot] = age >= this._first ? due : Math.max(now, this._flushAt) + AHEAD_SECONDS;
    if (late.since !== due) {
      if (late.since !== 0) this._over(slot);
      Object.assign(late, { since: due, next: this._first });
    }
    if (slot === 0 && age >= late.next && !this._rest.waits) {
      const answer = (at, frames, marked) => this._guarded(() => this._answer(part, due, at, frames, marked));
      const asked = this._stacks.ask(answer);
      if (asked) late.next = Math.min(age * SAMPLE_GROWTH, age + MOST_SAMPLE_SECONDS);
    }
    return age >= this._first ? STALLING_SECONDS : Math.max(0.002, this._first - age);
  }

  /** A stack has come: of the stall, unless the loop had come back by the time that it was taken. */
  _answer(part, since, at, frames, marked) {
    const { slot } = part;
    if (frames.length === 0 && slot === 0 && since === this._rest.since) this._rest.forget();
    if (frames.length === 0 || isBack(frames) || this._late[slot].since !== since) return;
    if (at >= this._cameBack(part, since)) return;
    if (marked > since) this._stalls.sample(slot, since, QUEUE, at - since);
    this._stalls.sample(slot, since, frames, at - since);
  }

  /** When the loop did that was late since then; never, as far as is known yet. */
  _cameBack({ slot, words }, since) {
    if (slot === 0 && since === this._rest.since) return this._rest.turnedAt > since ? this._rest.turnedAt : Infinity;
    return words[AT.due] === since ? Infinity : words[AT.beatAt];
  }

  _over(slot) {
    this._late[slot].since = 0;
    if (slot === 0) this._stacks.close();
  }

  _publish(now) {
    this._publishAt = now + this._publishSeconds;
    const main = this._seen[0];
    const sum = (at) => this._parts.reduce((total, part, slot) => total + (part.taken ? this._seen[slot][at] : 0), 0);
    const collections = Array.from(main.subarray(GC, GC + layout.GC_GENERATIONS * GC_WORDS));
    const known = {
      heartbeat: now,
      loops_unwatched: 0,
      heap_used_bytes: main[AT.heapUsed],
      heap_live_bytes: main[AT.heapLive],
      heap_limit_bytes: main[AT.heapLimit],
      external_bytes: main[AT.external],
      listener_warnings: main[AT.listenerWarnings],
      probe_cpu_seconds: sum(AT.ownSeconds) + ownCpuSeconds(),
      errors_rejection: main[AT.rejections],
      errors_exception: main[AT.exceptions],
    };
    const { fields } = records.PROCESS;
    const plain = fields.slice(0, fields.length - collections.length).map((name) => known[name] ?? NaN);
    this._segment.put(records.PROCESS, 0, [...plain, ...collections]);
  }

  _onMessage(message) {
    if (message.off !== undefined) {
      this._control.close();
      this._sessions.closeAll();
      this._segment.turnOff(message.off);
    } else if (message.last) {
      this._publishAt = 0;
      this._flushedAt.fill(0); // the last stall is counted after the last beat
      this._lookAtAll(monotonic());
      this._sessions.closeAll();
      this._leaving.toldAll();
    } else if (message.error !== undefined) {
      this._tellError(message.error);
    } else if (message.resources !== undefined) {
      this._tellRow(records.RESOURCE, message.resources);
      this._tellRow(records.SPACE, message.spaces);
    }
  }

  _tellError({ channel, number, type, frames }) {
    const index = layout.ERROR_CHANNELS.indexOf(channel);
    this._segment.put(records.ERROR, index, [number], `${type}\n${encodeOne(1, frames, records.ERROR.textBytes)}`);
    // Of a loop at rest the count would be seconds old.
    this._flushAt = Math.min(this._flushAt, this._publishAt);
  }

  _tellRow(record, rows) {
    for (let index = 0; index < record.count; index++) {
      const [name, ...values] = rows[index] ?? ['', ...record.fields.map(() => NaN)];
      this._segment.put(record, index, values, name);
    }
  }
}

module.exports = { watchdog: new Watchdog(workerData) };
