'use strict';
/*
What V8 and Node tell of a thread: its heap, its spaces, and what keeps its loop going.

The heap costs 0.2 us, once a second. The list of what is active is made anew for each question, so where there is
much of it that is asked less often: for a thousandth of the time at most.
*/

const v8 = require('node:v8');

const { AT } = require('./board');
const { monotonic } = require('./clock');
const { Limit } = require('./limit');

const HEAP_SECONDS = 1;
const RESOURCES_SECONDS = 10;
const RESOURCES_AT_REST_SECONDS = 40;
const SHARE = 0.001;

class Counts {
  /** `tell(resources, spaces)` is called now and then with what there is by name. */
  constructor(part, tell) {
    this._part = part;
    this._tell = tell;
    this._limit = new Limit();
    this._heapAt = this._resourcesReadAt = -Infinity;
    this._leastApart = 0;
  }

  /** Read what is due, of a loop that rests or does not. */
  look(now, rests) {
    if (now >= this._heapAt) {
      this._heapAt = now + HEAP_SECONDS;
      this._readHeap();
    }
    const apart = Math.max(this._leastApart, rests ? RESOURCES_AT_REST_SECONDS : RESOURCES_SECONDS);
    if (now >= this._resourcesReadAt + apart) {
      const resources = activeResources();
      const spaces = v8.getHeapSpaceStatistics().map((space) => [
        space.space_name,
        space.space_used_size,
        space.physical_space_size,
      ]);
      this._resourcesReadAt = now;
      this._leastApart = (monotonic() - now) / SHARE;
      this._tell(resources, spaces);
    }
  }

  _readHeap() {
    const heap = v8.getHeapStatistics();
    this._part.write((words) => {
      words[AT.heapUsed] = heap.used_heap_size;
      words[AT.heapLimit] = this._limit.of(heap.heap_size_limit);
      words[AT.external] = heap.external_memory;
    });
  }
}

/** Type -> how many keep the loop going, the most first. */
function activeResources() {
  const counts = new Map();
  for (const type of process.getActiveResourcesInfo?.() ?? []) counts.set(type, (counts.get(type) ?? 0) + 1);
  return [...counts].sort((one, other) => other[1] - one[1]);
}

module.exports = { Counts };
