/*
What every file is read into: functions, the paths on which they were called, and samples, each of them one path and a
weight. The readers write it and the layouts read it.

A path is a number, and its caller's is smaller. So what is summed up by path is summed up in one pass from the last to
the first, without recursion, and a stack that was seen a thousand times is kept once.
*/

import { originOf, packageOf } from './origin.js';

const FIRST_ROOM = 1024;
const MOST_NAME = 20_000;

/** What is wrong with a file, in a sentence for people. */
export class Unreadable extends Error {}

/** A list of numbers that grows: `Type` is a typed array's. */
export class Numbers {
  constructor(Type) {
    this.length = 0;
    this._room = new Type(FIRST_ROOM);
  }

  push(number) {
    if (this.length === this._room.length) {
      const wider = new this._room.constructor(this.length * 2);
      wider.set(this._room);
      this._room = wider;
    }
    this._room[this.length] = number;
    this.length += 1;
  }

  /** Put a number in place of one that is there. */
  set(index, number) {
    this._room[index] = number;
  }

  at(index) {
    return this._room[index];
  }

  /** The list as a typed array, without the room to grow. */
  get all() {
    return this._room.subarray(0, this.length);
  }
}

/** Functions by name and file, and the lines at which they were seen: a place is one of these. */
export class Places {
  constructor() {
    this.functions = [];
    this.functionOf = [];
    this.lineOf = [];
    this._files = new Map();
  }

  /** The number of the place; name and file may be anything, and become text. Whose code it is they tell, or a reader. */
  at(name, file, line, origin) {
    const known = this._function(textOf(name), textOf(file), origin);
    const at = Number.isInteger(line) && line > 0 ? line : 0;
    let place = known.lines.get(at);
    if (place === undefined) {
      place = this.functionOf.length;
      known.lines.set(at, place);
      this.functionOf.push(known.number);
      this.lineOf.push(at);
    }
    return place;
  }

  _function(name, file, origin = originOf(name, file)) {
    let names = this._files.get(file);
    if (names === undefined) this._files.set(file, (names = new Map()));
    let known = names.get(name);
    if (known === undefined) {
      known = { number: this.functions.length, lines: new Map() };
      names.set(name, known);
      this.functions.push({ name: name || '(no name)', file, origin, package: packageOf(file) });
    }
    return known;
  }
}

/** Who called whom: paths by the path that they go on from and by what is called, both numbers. Path 0 is nobody's. */
export class Paths {
  constructor() {
    this._from = new Numbers(Int32Array);
    this._called = new Numbers(Int32Array);
    this._from.push(-1);
    this._called.push(-1);
    this._table = new Int32Array(FIRST_ROOM * 2);
  }

  get count() {
    return this._from.length;
  }

  get from() {
    return this._from.all;
  }

  get called() {
    return this._called.all;
  }

  /** The path that goes on from this one by that call. */
  into(path, called) {
    const slot = this._slot(path, called);
    if (this._table[slot] !== 0) return this._table[slot];
    const made = this.count;
    this._from.push(path);
    this._called.push(called);
    this._table[slot] = made;
    if (made * 2 > this._table.length) this._widen();
    return made;
  }

  /** Where the path is in the table, or the free slot where it would be. */
  _slot(path, called) {
    const mask = this._table.length - 1;
    const { _room: from } = this._from;
    const { _room: calls } = this._called;
    let slot = (Math.imul(path, 0x9e3779b1) ^ Math.imul(called, 0x85ebca6b)) & mask;
    slot ^= slot >>> 7;
    while (this._table[slot] !== 0) {
      const found = this._table[slot];
      if (from[found] === path && calls[found] === called) break;
      slot = (slot + 1) & mask;
    }
    return slot;
  }

  _widen() {
    this._table = new Int32Array(this._table.length * 2);
    const { from, called } = this;
    for (let path = 1; path < from.length; path += 1) this._table[this._slot(from[path], called[path])] = path;
  }
}

/**
 * One profile: samples in the order of the file, `unit` is "seconds", "bytes" or a word for what is counted. `inTime`
 * is whether that order is the one in which they were taken. Path 0 is a sample of nothing that runs.
 */
export function profile({ name, unit, places, paths, samples, weights, inTime }) {
  let total = 0;
  let idle = 0;
  for (let index = 0; index < samples.length; index += 1) {
    if (samples[index] === 0) idle += weights[index];
    else total += weights[index];
  }
  numberOf(total + idle, 'The sum of all weights');
  return { name: textOf(name), unit, places, paths, samples, weights, inTime, total, idle };
}

/** What a file holds: its profiles, the one to show first, and what has to be said about them. */
export function book(profiles, { notes = [], first } = {}) {
  if (profiles.length === 0) throw new Unreadable('There is no profile in this file.');
  const heaviest = profiles.reduce((best, each, at) => (each.total > profiles[best].total ? at : best), 0);
  return { profiles, notes, first: first ?? heaviest };
}

/** A number that a file has to have here. */
export function numberOf(value, what) {
  if (typeof value !== 'number' || !Number.isFinite(value)) throw new Unreadable(`${what} is no number.`);
  return value;
}

/** A list that a file has to have here. */
export function listOf(value, what) {
  if (!Array.isArray(value)) throw new Unreadable(`${what} is missing, or no list.`);
  return value;
}

/** Text, whatever a file has here. */
export function textOf(value) {
  return typeof value === 'string' ? value.slice(0, MOST_NAME) : '';
}
