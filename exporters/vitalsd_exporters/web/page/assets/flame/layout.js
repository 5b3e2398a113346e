/*
Where everything is drawn: boxes by row, from left to right, in the profile's own unit. Three ways: as it was in time,
the heaviest first, and one function with who calls it above and what it calls below.

Boxes are columns of numbers, and each row has its own in order, so that what is in a window is found by halving and
what is too narrow to be seen is stepped over: drawing costs what is on the screen, whatever the profile has.
*/

import { Numbers } from './form.js';
import { aroundOf, children } from './tree.js';

/** The boxes of a layout, and what there is of them. */
export class Boxes {
  constructor(functions) {
    this.functions = functions;
    this.row = new Numbers(Int32Array);
    this.begin = new Numbers(Float64Array);
    this.end = new Numbers(Float64Array);
    this.called = new Numbers(Int32Array);
    this.self = new Numbers(Float64Array);
    /** The box of who calls it; -1 for none. */
    this.from = new Numbers(Int32Array);
    /** The function in the middle, and its row: above it nobody took anything but by calling it. */
    this.subject = -1;
    this.subjectRow = 0;
    this.width = 0;
  }

  /** One more; boxes of a row are added from left to right. */
  add({ row, begin, end, called, from, self = 0 }) {
    this.row.push(row);
    this.begin.push(begin);
    this.end.push(end);
    this.called.push(called);
    this.from.push(from);
    this.self.push(self);
    return this.row.length - 1;
  }

  /** Make it ready to be drawn; rows may have been counted from anywhere. */
  done(width) {
    for (const column of ['row', 'begin', 'end', 'called', 'self', 'from']) this[column] = this[column].all;
    const lowest = this.row.reduce((least, row) => Math.min(least, row), 0);
    this.rows = [];
    for (let box = 0; box < this.row.length; box += 1) {
      this.row[box] -= lowest;
      (this.rows[this.row[box]] ??= new Numbers(Int32Array)).push(box);
    }
    this.rows = this.rows.map((row) => row.all);
    this.subjectRow = -lowest;
    this.width = width;
    return this;
  }

  /** The box of a row at some point of it; -1 where there is none. */
  at(row, point) {
    const boxes = this.rows[row] ?? [];
    const box = boxes[firstWhere(boxes.length, (index) => this.end[boxes[index]] > point)];
    return box !== undefined && this.begin[box] <= point ? box : -1;
  }

  /**
   * The boxes of a row between two points: `draw(box, end)` is called with each that is as wide as `least`, and once
   * with the first of those side by side that are not, and where the last one of them ends.
   */
  within(row, left, right, least, draw) {
    const boxes = this.rows[row] ?? [];
    let index = firstWhere(boxes.length, (at) => this.end[boxes[at]] > left);
    while (index < boxes.length && this.begin[boxes[index]] < right) {
      const box = boxes[index];
      const reach = this.begin[box] + least;
      let last = index;
      if (this.end[box] < reach) {
        last += firstWhere(boxes.length - index, (at) => this.end[boxes[index + at]] >= reach) - 1;
        last = Math.max(index, last);
      }
      draw(box, this.end[boxes[last]], last > index);
      index = last + 1;
    }
  }
}

/** The first number from 0 on of which it is true, if it is of all that follow; `length` where of none. */
function firstWhere(length, isTrue) {
  let [low, high] = [0, length];
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (isTrue(middle)) high = middle;
    else low = middle + 1;
  }
  return low;
}

/** As it was in time: what is called on while samples follow each other is one box. */
export function inTime(profile, tree) {
  const boxes = new Boxes(tree.functions);
  const depthOf = depths(tree.from);
  const [open, calls, meets] = [[], [], []];
  let at = 0;
  const close = (depth) => {
    while (open.length > depth) boxes.end.set(open.pop(), at);
  };
  for (let index = 0; index < profile.samples.length; index += 1) {
    const weight = profile.weights[index];
    if (weight === 0) continue;
    meets.length = 0;
    let call = tree.callOf[profile.samples[index]];
    const deepest = depthOf[call];
    let depth = deepest;
    for (; depth > 0 && (depth > open.length || calls[depth - 1] !== call); depth -= 1) {
      meets.push(call);
      call = tree.from[call];
    }
    close(depth);
    for (; depth < deepest; depth += 1) {
      const met = meets.pop();
      calls[depth] = met;
      const from = depth > 0 ? open[depth - 1] : -1;
      open.push(boxes.add({ row: depth, begin: at, end: at, called: tree.called[met], from }));
    }
    if (deepest > 0) boxes.self.set(open[deepest - 1], boxes.self.at(open[deepest - 1]) + weight);
    at += weight;
  }
  close(0);
  return boxes.done(at);
}

function depths(from) {
  const depthOf = new Int32Array(from.length);
  for (let call = 1; call < from.length; call += 1) depthOf[call] = depthOf[from[call]] + 1;
  return depthOf;
}

/** The heaviest first, and what is called by the same path as one. */
export function leftHeavy(tree) {
  const boxes = new Boxes(tree.functions);
  place(boxes, tree, 1);
  return boxes.done(tree.total[0]);
}

/** One function: who calls it above, what it calls below, both of all its calls. */
export function sandwich(tree, subject) {
  const boxes = new Boxes(tree.functions);
  const { callers, callees } = aroundOf(tree, subject);
  place(boxes, callees, 1);
  place(boxes, callers, -1, new Set([subject]));
  boxes.subject = subject;
  return boxes.done(callees.total[0]);
}

/** Put all calls of a tree below each other, or above; the first row may be there already. */
function place(boxes, tree, step, known) {
  const { first, next } = children(tree.from);
  const waiting = [{ call: 0, row: -step, begin: 0, from: -1 }];
  while (waiting.length > 0) {
    const { call, row, begin, from } = waiting.pop();
    let box = from;
    if (call > 0 && !(row === 0 && known?.has(tree.called[call]))) {
      const self = row < 0 ? 0 : tree.self[call];
      box = boxes.add({ row, begin, end: begin + tree.total[call], self, called: tree.called[call], from });
    }
    const beside = [];
    for (let child = first[call]; child > 0; child = next[child]) if (tree.total[child] > 0) beside.push(child);
    beside.sort((one, other) => tree.total[other] - tree.total[one] || one - other);
    let left = begin;
    const placed = beside.map((child) => {
      const put = { call: child, row: row + step, begin: left, from: box };
      left += tree.total[child];
      return put;
    });
    waiting.push(...placed.reverse());
  }
}
