'use strict';
/*
How much may live in V8's heap before it ends the process.

`heap_size_limit` counts the young as well, three half spaces of 16 MiB, of 64 MiB from V8 13 on (Node 24), and less
where the old is small; but V8 gives up when the old space is full: with `--max-old-space-size=64` at 64 MiB of the 112
or 256 that it tells.
*/

const MIB = 2 ** 20;
const HALVES = 3;
const IS_LATER = parseInt(process.versions.v8, 10) >= 13;
const HALF_BYTES = (IS_LATER ? 64 : 16) * MIB;
const OLD_TO_HALF = IS_LATER ? 64 : 128;

class Limit {
  constructor(options = [process.env.NODE_OPTIONS ?? '', ...process.execArgv].join(' ')) {
    this._old = lastOf('old', options);
    this._half = lastOf('semi', options);
  }

  /** What of V8's `heap_size_limit` is for what lives. */
  of(bytes) {
    if (this._old > 0) return Math.min(bytes, this._old);
    const usual = Math.min(HALVES * HALF_BYTES, (bytes * HALVES) / (OLD_TO_HALF + HALVES));
    const young = this._half > 0 ? HALVES * this._half : usual;
    return young < bytes ? bytes - young : bytes;
  }
}

/** The bytes that the last `--max-old-space-size` or `--max-semi-space-size` says; 0 without one. */
function lastOf(space, options) {
  const said = [...options.matchAll(new RegExp(`--max[-_]${space}[-_]space[-_]size[= ]"?(\\d+)`, 'g'))].pop();
  return said === undefined ? 0 : Number(said[1]) * MIB;
}

module.exports = { Limit };
