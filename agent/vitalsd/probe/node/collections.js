'use strict';
/*
Garbage collections of this thread's heap, by kind, and how much is alive after a full one.

Node calls into JavaScript for each of them when the loop has turned; the entry says when it was. That takes a tenth
of a millisecond and more. A service with a small heap that collects two hundred times a second would lose two
hundredths of its time to it, and there no collection takes long: so of every four seconds as much is watched as
brings some twenty, half a one at the most, and what a busy second brought there stands for those until the next
watch. While such a loop is late all is watched. V8 has a profiler of collections that costs less, but in Node 20 each
start of it leaves callbacks behind that every collection calls from then on.
*/

const { PerformanceObserver, constants } = require('node:perf_hooks');
const v8 = require('node:v8');

const { AT, GC, GC_WORDS } = require('./board');
const { atPerformance, monotonic } = require('./clock');
const { GC_BOUNDS_SECONDS: BOUNDS, GC_GENERATIONS } = require('./layout.json');

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
/** Between two times at which what was found is booked again. */
const BOOK_SECONDS = 1;
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
    /** For how long it is watched. */
    this._window = WATCHED_SECONDS;
    this._isWatching = false;
    this._isStopped = false;
    /** What the books said when this watch began, and what a busy second has brought by the last one that has ended. */
    this._before = new Float64Array(GC_GENERATIONS * GC_WORDS);
    this._each = new Float64Array(GC_GENERATIONS * GC_WORDS);
    /** Of the loop's busy seconds: when this watch began, up to where all is booked, and up to where nobody has watched. */
    this._busyBefore = this._busyBooked = this._busyUnwatched = 0;
    this._bookedAt = 0;
    this._watch(monotonic());
  }

  /** At each beat: whether to watch on. */
  look(now) {
    if (!this._isWatching) {
      const isDue = now - this._watchedAt >= APART_SECONDS;
      this._busyUnwatched = this._part.words[AT.busy];
      if (isDue || now - this._bookedAt >= BOOK_SECONDS) this._book(now);
      if (isDue) this._watch(now);
      return;
    }
    if (this._busyUnwatched > this._busyBooked) this._book(now);
    const seconds = now - this._watchedAt;
    if (seconds < this._window) return;
    const many = this._count >= MANY_PER_SECOND * seconds;
    const isCheap = this._longest < SHORT_SECONDS && this._part.words[AT.heapUsed] < SMALL_BYTES;
    const enough = many && isCheap ? (ENOUGH * seconds) / this._count : WATCHED_SECONDS;
    this._window = Math.min(WATCHED_SECONDS, Math.max(LEAST_WATCHED_SECONDS, enough));
    if (many && isCheap) this._leave(now);
    else this._begin(now);
  }

  /** From within whatever the thread is at, while its loop is late: it may be writing, so that nothing is booked. */
  watchAll(now) {
    if (this._isWatching || this._isStopped) return;
    this._busyUnwatched = this._part.words[AT.busy];
    this._watch(now);
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

  _begin(now) {
    this._watchedAt = now;
    this._count = this._longest = 0;
    this._busyBefore = this._part.words[AT.busy];
    this._before.set(this._part.words.subarray(GC, GC + this._before.length));
  }

  /** What this watch has found stands for the time that comes. */
  _leave(now) {
    this._observer.disconnect();
    this._isWatching = false;
    this._bookedAt = now;
    const { words } = this._part;
    this._busyBooked = words[AT.busy];
    const busy = this._busyBooked - this._busyBefore;
    this._each.forEach((_, index, each) => {
      each[index] = busy > 0 ? (words[GC + index] - this._before[index]) / busy : 0;
    });
  }

  /** Book what the busy time that nobody has watched has brought by that. */
  _book(now) {
    const seconds = this._busyUnwatched - this._busyBooked;
    this._busyBooked = this._busyUnwatched;
    this._bookedAt = now;
    this._part.write((words) => {
      this._each.forEach((each, index) => {
        words[GC + index] += each * seconds;
        this._before[index] += each * seconds;
      });
    });
  }

  _note(entries) {
    this._part.write((words) => {
      for (const entry of entries) {
        const kind = KINDS.get(entry.detail?.kind ?? entry.kind) ?? INCREMENTAL;
        const seconds = entry.duration / 1e3;
        const began = atPerformance(entry.startTime);
        const at = GC + kind * GC_WORDS;
        const bucket = BOUNDS.findIndex((bound) => seconds <= bound);
        words[at] += seconds;
        words[at + 1 + (bucket < 0 ? BOUNDS.length : bucket)] += 1;
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
