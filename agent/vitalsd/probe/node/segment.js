'use strict';
/*
Writes a segment, the way the Python probe's `layout` says, by the watchdog alone.

Node maps no files, so each record is written by a call, 2 us where the file lies in memory. It holds no lock
either: whose the segment is, its header says, and a heartbeat that goes on.
*/

const crypto = require('node:crypto');
const fs = require('node:fs');
const path = require('node:path');
const zlib = require('node:zlib');

const { monotonic } = require('./clock');
const layout = require('./layout.json');

const CHECKED_SECONDS = 0.0005;
/** For the writes of one look. */
const SYSTEM = '/run/vitalsd';
const { records } = layout;

/** The folder for segments: the one that was chosen, the system's, or this user's in shared memory. */
function segmentFolder(chosen) {
  if (chosen) return chosen;
  try {
    fs.accessSync(SYSTEM, fs.constants.W_OK | fs.constants.X_OK);
    return SYSTEM;
  } catch {
    return `/dev/shm/vitalsd-${process.geteuid()}`;
  }
}

/** Make the folder if need be; refuse one in a shared place that somebody else could have put there. */
function ensureFolder(folder) {
  try {
    fs.mkdirSync(folder, { mode: 0o700 });
  } catch (error) {
    if (error.code !== 'EEXIST') throw error;
  }
  const found = fs.lstatSync(folder);
  const trusted = found.isDirectory() && [process.geteuid(), 0].includes(found.uid);
  if (folder.startsWith('/dev/shm/') && !trusted) throw new Error(`${folder} belongs to uid ${found.uid}`);
}

function startTicks() {
  const stat = fs.readFileSync('/proc/self/stat', 'latin1');
  return Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19]);
}

const TABLE = new Int32Array(256).map((_, index) => {
  let value = index;
  for (let bit = 0; bit < 8; bit++) value = value & 1 ? (value >>> 1) ^ 0xedb88320 : value >>> 1;
  return value;
});

function ownCrc32(bytes) {
  let crc = -1;
  for (let index = 0; index < bytes.length; index++) crc = TABLE[(crc ^ bytes[index]) & 255] ^ (crc >>> 8);
  return (crc ^ -1) >>> 0;
}

const crc32 = zlib.crc32 ?? ownCrc32;

/** Text in so many bytes at most, cut between two characters. */
function clipped(text, most) {
  const bytes = Buffer.from(text, 'utf8');
  if (bytes.length <= most) return bytes;
  let end = most;
  while (end > 0 && (bytes[end] & 0xc0) === 0x80) end--;
  return bytes.subarray(0, end);
}

class Segment {
  constructor({ folder: chosen, target, threshold }) {
    const folder = segmentFolder(chosen);
    ensureFolder(folder);
    const name = `node-${process.pid}-${crypto.randomBytes(4).toString('hex')}.seg`;
    this.path = path.join(folder, name);
    this.off = false;
    this._checkedAt = 0;
    this._bytes = Buffer.alloc(layout.SIZE);
    this._words = new Float64Array(this._bytes.buffer, this._bytes.byteOffset, layout.SIZE / 8);
    this._sequences = new Map();
    this._fill(target, threshold);
    const aside = path.join(folder, `.${name}`);
    this._file = fs.openSync(aside, 'wx+', 0o600);
    try {
      this._writeAll();
      fs.renameSync(aside, this.path);
      const made = fs.fstatSync(this._file);
      this._made = [made.dev, made.ino];
    } catch (error) {
      fs.closeSync(this._file);
      fs.rmSync(aside, { force: true });
      throw error;
    }
  }

  /** Whether the number is still that of the file: a service may close what is not its own, and open another. */
  get isOurs() {
    try {
      const found = fs.fstatSync(this._file);
      return found.dev === this._made[0] && found.ino === this._made[1];
    } catch {
      return false;
    }
  }

  /** Write a part of it; an error if it is not there any more, and never into what is there in its place. */
  _write(from, length) {
    const now = monotonic();
    if (now - this._checkedAt > CHECKED_SECONDS) {
      if (!this.isOurs) {
        this.off = true;
        throw new Error('somebody has closed the file of the probe');
      }
      this._checkedAt = now;
    }
    fs.writeSync(this._file, this._bytes, from, length, from);
  }

  _fill(target, threshold) {
    this._bytes.write(layout.MAGIC, 0, 'latin1');
    this._words[1] = layout.VERSION;
    this._words[2] = layout.SIZE;
    for (const [name, record] of Object.entries(records)) {
      if (name === 'HEADER') continue;
      for (let index = 0; index < record.count; index++) this._store(record, index, record.fields.map(() => NaN), '');
    }
    const line = (target ?? '').split(/\s+/).filter(Boolean).join(' ');
    const numbers = [process.pid, process.geteuid(), startTicks(), Date.now() / 1e3, threshold];
    this._store(records.HEADER, 0, numbers, `node\n${process.versions.node}\n${line}\n`);
  }

  _writeAll() {
    let written = 0;
    while (written < this._bytes.length) {
      written += fs.writeSync(this._file, this._bytes, written, this._bytes.length - written, written);
    }
  }

  /** Compose one record; the answer is where it begins and ends, in bytes. */
  _store(record, index, values, text) {
    const at = record.offset + index * record.words;
    const sequence = (this._sequences.get(at) ?? 0) + 2;
    this._sequences.set(at, sequence);
    const bytes = clipped(text, record.textBytes);
    this._words.set(values, at + 2);
    this._words[at + 2 + values.length] = bytes.length;
    const textAt = (at + 3 + values.length) * 8;
    bytes.copy(this._bytes, textAt);
    const end = textAt + bytes.length;
    this._words[at] = sequence;
    this._words[at + 1] = crc32(this._bytes.subarray((at + 2) * 8, end));
    return [at * 8, end];
  }

  /** Write one record whole. */
  put(record, index, values, text = '') {
    if (this.off) return;
    const [from, to] = this._store(record, index, values, text);
    this._write(from, to - from);
  }

  /** Set the words of all loops that change outside of the records, in one write. */
  mark(sinces, dues) {
    if (this.off) return;
    this._words.set(sinces, layout.SINCE);
    this._words.set(dues, layout.DUE);
    const from = layout.SINCE * 8;
    this._write(from, 2 * layout.LOOPS * 8);
  }

  /** Say why the probe is off, as the last word. */
  turnOff(problem) {
    const none = new Array(layout.LOOPS).fill(0);
    this.mark(none, none);
    this.put(records.PROCESS, 0, records.PROCESS.fields.map(() => NaN), `${layout.OFF}${problem}`);
    this.off = true;
  }
}

module.exports = { Segment, records };
