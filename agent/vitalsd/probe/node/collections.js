'use strict';
/*
Garbage collections of this thread's heap, by kind, and how much is alive after a full one.

Node calls into JavaScript for each of them when the loop has turned; the entry says when it was. That takes a tenth
of a millisecond and more. A service with a small heap that collects two hundred times a second would lose two
hundredths of its time to it, and there no collection takes long: so of every four seconds as much is watched as brings
some twenty, half a one at the most, and counts for all of them. While such a loop is late all is watched. V8 has a
profiler of collections that costs less, but in Node 20 each start of it leaves callbacks behind that every collection
calls from then on.
*/

const { PerformanceObserver, constants } = require('node:perf_hooks');
const v8 = require('node:v8');

const { AT, GC, GC_WORDS } = require('./board');
const { atPerformance, monotonic } = require('./clock');
const { GC_BOUNDS_SECONDS: BOUNDS } = require('./layout.json');

const MINOR = 0;
const INCREMENTAL = 1;
const MAJOR = 2;
const KINDS = new Map([
  [constants.NODE_PERFORMANCE_GC_MINOR, MINOR],
  [2, MINOR], // the mark-sweep of the young, which has no name here
  [constants.NODE_PERFORMANCE_GC_MAJOR, MAJOR],
]);
const KEPT = 512;
const WATCHED_SECONDS = 0.5;
const LEAST_WATCHED_SECONDS = 0.08;
const ENOUGH = 20;
/** From one watch to the next. */
const APART_SECONDS = 4;
const MANY_PER_SECOND = 40;
const SHORT_SECONDS = 0.005;
const SMALL_BYTES = 64 * 2 ** 20;

class Collections {
  constructor(part) {
    this._part = part;
    this._total = 0;
    /** What was collected in total by when, as points of a line: two for each collection, fewer where there are many. */
    this._line = [];
    this._observer = new PerformanceObserver((list) => this._note(list.getEntries()));
    this._weight = 1;
    /** For how long it is watched, and until when. */
    this._window = WATCHED_SECONDS;
    this._isWatching = false;
    this._isStopped = false;
    /** Seconds that nobody has watched and that what is watched next stands for, too. */
    this._missed = 0;
    this._watch(monotonic());
  }

  /** At each beat: whether to watch on. */
  look(now) {
    if (!this._isWatching) {
      if (now - this._watchedAt >= APART_SECONDS) {
        this._missed = now - this._leftAt;
        this._watch(now);
      }
      return;
    }
    const seconds = now - this._watchedAt;
    if (seconds < this._window) return;
    const many = this._count >= MANY_PER_SECOND * seconds;
    const isCheap = this._longest < SHORT_SECONDS && this._part.words[AT.heapUsed] < SMALL_BYTES;
    const enough = many && isCheap ? (ENOUGH * seconds) / this._count : WATCHED_SECONDS;
    this._window = Math.min(WATCHED_SECONDS, Math.max(LEAST_WATCHED_SECONDS, enough));
    if (many && isCheap && this._missed === 0) this._leave(now);
    else this._begin(now);
  }

  /** From within whatever the thread is at, while its loop is late. */
  watchAll(now) {
    if (this._isWatching || this._isStopped) return;
    this._watch(now);
    this._missed = now - this._leftAt; // for which the time after this stall stands, since a stall is not like others
  }

  /** Seconds of collecting between two times; as much all the time as in the part of it that was watched. */
  within(began, ended) {
    const since = this._isWatching ? Math.max(began, this._sinceAt) : began;
    if (since >= ended) return 0;
    return ((this._totalAt(ended) - this._totalAt(since)) * (ended - began)) / (ended - since);
  }

  stop() {
    this._isStopped = true;
    this._observer.disconnect();
  }

  _watch(now) {
    this._observer.observe({ entryTypes: ['gc'] });
    this._isWatching = true;
    this._sinceAt = now;
    this._begin(now);
  }

  _leave(now) {
    this._observer.disconnect();
    this._isWatching = false;
    this._leftAt = now;
  }

  /** What is watched from now on counts for what was missed, too. */
  _begin(now) {
    this._watchedAt = now;
    this._watchedUntil = now + this._window;
    this._weight = 1 + this._missed / this._window;
    this._missed = 0;
    this._count = this._longest = 0;
  }

  _note(entries) {
    this._part.write((words) => {
      for (const entry of entries) {
        const kind = KINDS.get(entry.detail?.kind ?? entry.kind) ?? INCREMENTAL;
        const seconds = entry.duration / 1e3;
        const began = atPerformance(entry.startTime);
        // A stall makes a window longer than it was meant to be: that stands for itself, and so does a long pause.
        const weight = began < this._watchedUntil && seconds < SHORT_SECONDS ? this._weight : 1;
        const at = GC + kind * GC_WORDS;
        const bucket = BOUNDS.findIndex((bound) => seconds <= bound);
        words[at] += seconds * weight;
        words[at + 1 + (bucket < 0 ? BOUNDS.length : bucket)] += weight;
        if (kind === MAJOR) words[AT.heapLive] = v8.getHeapStatistics().used_heap_size;
        this._count += 1;
        this._longest = Math.max(this._longest, seconds);
        this._line.push([began, this._total], [began + seconds, this._total + seconds]);
        this._total += seconds;
      }
    });
    while (this._line.length > KEPT) this._line = this._line.filter((_, index) => index % 2 === 1);
  }

  _totalAt(time) {
    const line = this._line;
    let index = line.length;
    while (index > 0 && line[index - 1][0] > time) index--;
    if (index === line.length) return this._total;
    const [to, after] = line[index];
    const [from, before] = index > 0 ? line[index - 1] : [to, after];
    return to > from ? before + ((after - before) * (time - from)) / (to - from) : before;
  }
}

/** For a thread that may compute for hours, and nobody would take meanwhile what has piled up. */
const NOT_WATCHED = { look() {}, within: () => NaN, stop() {} };

/** How often a loop's heap was collected, by its part; the steps of a collection are none. */
function collectionsOf(part) {
  const counts = [MINOR, MAJOR].flatMap((kind) => {
    const at = GC + kind * GC_WORDS + 1;
    return [...part.words.subarray(at, at + BOUNDS.length + 1)];
  });
  return Math.round(counts.reduce((sum, count) => sum + count, 0));
}

module.exports = { Collections, NOT_WATCHED, collectionsOf };
