'use strict';
/*
Garbage collections of this thread's heap, by kind, and how much is alive after a full one.

Node tells of each when the loop has turned; the entry says when it was.
*/

const { PerformanceObserver, constants } = require('node:perf_hooks');
const v8 = require('node:v8');

const { AT, GC, GC_WORDS } = require('./board');
const { atPerformance } = require('./clock');
const { GC_BOUNDS_SECONDS: BOUNDS } = require('./layout.json');

const MINOR = 0;
const INCREMENTAL = 1;
const MAJOR = 2;
const KINDS = new Map([
  [constants.NODE_PERFORMANCE_GC_MINOR, MINOR],
  [2, MINOR], // the mark-sweep of the young, which has no name here
  [constants.NODE_PERFORMANCE_GC_MAJOR, MAJOR],
  [constants.NODE_PERFORMANCE_GC_INCREMENTAL, INCREMENTAL],
  [constants.NODE_PERFORMANCE_GC_WEAKCB, INCREMENTAL],
]);
const KEPT = 64;
const WORTH_SECONDS = 0.001;

class Collections {
  constructor(part) {
    this._part = part;
    this._late = [];
    this._observer = new PerformanceObserver((list) => this._note(list.getEntries()));
    this._observer.observe({ entryTypes: ['gc'] });
  }

  /** Seconds of collecting between two times. */
  within(began, ended) {
    let seconds = 0;
    for (const [from, to] of this._late) seconds += Math.max(0, Math.min(ended, to) - Math.max(began, from));
    return seconds;
  }

  stop() {
    this._observer.disconnect();
  }

  _note(entries) {
    let full = false;
    this._part.write((words) => {
      for (const entry of entries) {
        const kind = KINDS.get(entry.detail?.kind ?? entry.kind) ?? INCREMENTAL;
        const seconds = entry.duration / 1e3;
        const at = GC + kind * GC_WORDS;
        const bucket = BOUNDS.findIndex((bound) => seconds <= bound);
        words[at] += seconds;
        words[at + 1 + (bucket < 0 ? BOUNDS.length : bucket)] += 1;
        full ||= kind === MAJOR;
        if (seconds >= WORTH_SECONDS) {
          const began = atPerformance(entry.startTime);
          this._late.push([began, began + seconds]);
        }
      }
      if (full) words[AT.heapLive] = v8.getHeapStatistics().used_heap_size;
    });
    if (this._late.length > KEPT) this._late = this._late.slice(-KEPT / 2);
  }
}

/** How often a loop's heap was collected, by its part; the steps of a collection are none. */
function collectionsOf(part) {
  const counts = [MINOR, MAJOR].flatMap((kind) => {
    const at = GC + kind * GC_WORDS + 1;
    return [...part.words.subarray(at, at + BOUNDS.length + 1)];
  });
  return counts.reduce((sum, count) => sum + count, 0);
}

module.exports = { Collections, collectionsOf };
