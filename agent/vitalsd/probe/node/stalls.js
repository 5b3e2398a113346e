'use strict';
/* The stalls of a process in its segment: the one in progress of each loop with its stacks, and the last few. */

const { STACK_BYTES } = require('./layout.json');
const { records } = require('./segment');

const DISTINCT_STACKS = 3;
const NAME_BYTES = 200;

class StallBook {
  constructor(segment) {
    this._segment = segment;
    this._begun = new Map();
    // Of a loop those that are not told as over, the latest last: the end of one is told when the next has begun.
    this._number = 0;
  }

  /** A stack was seen in the stall of this loop that began at `since`, so long after that. */
  sample(slot, since, frames, after) {
    const begun = this._begun.get(slot) ?? [];
    let current = begun.at(-1);
    if (current?.since !== since) {
      current = { since, after, stacks: [] };
      this._begun.set(slot, [...begun.slice(-1), current]);
    }
    const key = JSON.stringify(frames);
    const known = current.stacks.find((each) => each.key === key);
    if (known) known.samples++;
    else if (current.stacks.length < DISTINCT_STACKS) current.stacks.push({ key, frames, samples: 1 });
    current.stacks.sort((one, other) => other.samples - one.samples);
    this._segment.put(records.CURRENT_STALL, slot, [since], encode(current.stacks));
  }

  /** The stall of this loop is over. */
  ended(slot, { since, endedAtUnix, duration, cpu, gc }) {
    const begun = this._begun.get(slot) ?? [];
    const own = begun.find((each) => each.since === since);
    this._begun.set(slot, begun.filter((each) => each.since > since));
    const number = (this._number += 1);
    const values = [slot, number, since, endedAtUnix, duration, cpu, gc, NaN, own?.after ?? NaN];
    const record = records.RECENT_STALL;
    this._segment.put(record, number % record.count, values, own ? encode(own.stacks) : '');
  }
}

/** A line `#samples`, then `function TAB file TAB line` for each frame; what has no room is cut from the middle. */
function encode(stacks) {
  const room = Math.floor(STACK_BYTES / Math.max(1, stacks.length));
  return stacks.map(({ samples, frames }) => encodeOne(samples, frames, room)).join('');
}

function encodeOne(samples, frames, room) {
  const head = `#${samples}\n`;
  const lines = frames.map(([name, file, line]) => `${plain(name)}\t${plain(file)}\t${line}\n`);
  const size = () => lines.reduce((sum, line) => sum + Buffer.byteLength(line), head.length);
  while (lines.length > 0 && size() > room) lines.splice(Math.floor((lines.length * 2) / 3), 1);
  return head + lines.join('');
}

/** A name on one line, of its last bytes at most: the end of a path tells more than its beginning. */
function plain(text) {
  const bytes = Buffer.from(String(text).replace(/[\t\n\r]/g, ' '), 'utf8');
  if (bytes.length <= NAME_BYTES) return bytes.toString('utf8');
  return bytes.subarray(bytes.length - NAME_BYTES).toString('utf8').replace(/^\ufffd+/, '');
}

module.exports = { StallBook, encodeOne, plain };
