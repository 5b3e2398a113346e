/*
A profile summed up: what each call by one path took, what each function took wherever it was called, and who calls it.
All of it in one pass over the paths; a function that calls itself counts once.
*/

import { Paths } from './form.js';

/**
 * The calls of a profile by function, whatever their line: `from`, `called`, `self` and `total` by call, where call 0 is
 * the whole, and `callOf` tells the call of a path. With `own` only the service's own functions are kept, and what others
 * took is theirs who have called them.
 */
export function treeOf(profile, { own = false } = {}) {
  const { functionOf, functions } = profile.places;
  const from = profile.paths.from;
  const place = profile.paths.called;
  const kept = functions.map((each) => !own || each.origin === 'own');
  const calls = new Paths();
  const callOf = new Int32Array(from.length);
  for (let path = 1; path < from.length; path += 1) {
    const called = functionOf[place[path]];
    callOf[path] = kept[called] ? calls.into(callOf[from[path]], called) : callOf[from[path]];
  }
  const self = new Float64Array(calls.count);
  // Path 0 is nothing that runs: what is left of call 0 is what nobody of those who are kept has called.
  for (let index = 0; index < profile.samples.length; index += 1) {
    const path = profile.samples[index];
    if (path !== 0) self[callOf[path]] += profile.weights[index];
  }
  return { functions, from: calls.from, called: calls.called, self, total: upwards(calls.from, self), callOf };
}

/** What was taken by each with all that it calls. */
function upwards(from, self) {
  const total = Float64Array.from(self);
  for (let call = from.length - 1; call > 0; call -= 1) total[from[call]] += total[call];
  return total;
}

/** Whether the same function is further out already, by call. */
function repeated({ from, called, functions }) {
  const isRepeated = new Uint8Array(from.length);
  const inside = new Uint32Array(functions.length);
  walk(from, {
    enter: (call) => {
      isRepeated[call] = inside[called[call]] > 0 ? 1 : 0;
      inside[called[call]] += 1;
    },
    leave: (call) => {
      inside[called[call]] -= 1;
    },
  });
  return isRepeated;
}

/** All calls below call 0, callers first, each entered and left. */
function walk(from, { enter, leave }) {
  const { first, next } = children(from);
  let call = first[0];
  while (call > 0) {
    enter(call);
    if (first[call] > 0) {
      call = first[call];
      continue;
    }
    leave(call);
    while (next[call] === 0 && from[call] > 0) {
      call = from[call];
      leave(call);
    }
    call = next[call];
  }
}

/** The first of those who are called by each, and the next one beside each; 0 where there is none. */
export function children(from) {
  const first = new Int32Array(from.length);
  const next = new Int32Array(from.length);
  for (let call = from.length - 1; call > 0; call -= 1) {
    next[call] = first[from[call]];
    first[from[call]] = call;
  }
  return { first, next };
}

/** What each function took, itself and with all that it calls: by number of the function, 0 for one that never ran. */
export function functionsOf(tree) {
  const self = new Float64Array(tree.functions.length);
  const total = new Float64Array(tree.functions.length);
  const isRepeated = repeated(tree);
  for (let call = 1; call < tree.from.length; call += 1) {
    self[tree.called[call]] += tree.self[call];
    if (!isRepeated[call]) total[tree.called[call]] += tree.total[call];
  }
  return { self, total };
}

/** The lines at which each function was seen, the one with the most first: by number of the function, [line, weight]. */
export function linesOf({ places, paths, samples, weights }) {
  const { functionOf, lineOf, functions } = places;
  const self = new Float64Array(paths.count);
  for (let index = 0; index < samples.length; index += 1) self[samples[index]] += weights[index];
  const total = upwards(paths.from, self);
  const place = paths.called;
  const byPlace = new Float64Array(functionOf.length);
  for (let path = 1; path < place.length; path += 1) byPlace[place[path]] += total[path];
  const lines = functions.map(() => []);
  byPlace.forEach((weight, at) => lineOf[at] > 0 && lines[functionOf[at]].push([lineOf[at], weight]));
  for (const each of lines) each.sort((one, other) => other[1] - one[1] || one[0] - other[0]);
  return lines;
}

/** Who calls a function, as a tree from it outwards, and what it calls: both as `treeOf` has them, without `callOf`. */
export function aroundOf(tree, subject) {
  const isRepeated = repeated(tree);
  const callers = new Paths();
  const callees = new Paths();
  const within = new Int32Array(tree.from.length);
  const [into, out] = [[], []];
  const add = (sums, call, weight) => {
    sums[call] = (sums[call] ?? 0) + weight;
  };
  for (let call = 1; call < tree.from.length; call += 1) {
    const isSubject = tree.called[call] === subject;
    const around = within[tree.from[call]];
    if (isSubject && !isRepeated[call]) {
      within[call] = callees.into(0, subject);
      add(out, outwards(tree, call, callers, subject), tree.total[call]);
    } else if (around > 0) {
      within[call] = callees.into(around, tree.called[call]);
    }
    if (within[call] > 0) add(into, within[call], tree.self[call]);
  }
  return { callers: summed(tree, callers, out), callees: summed(tree, callees, into) };
}

function outwards(tree, call, callers, subject) {
  let path = callers.into(0, subject);
  for (let at = tree.from[call]; at > 0; at = tree.from[at]) path = callers.into(path, tree.called[at]);
  return path;
}

function summed({ functions }, paths, sums) {
  const self = Float64Array.from({ length: paths.count }, (_, path) => sums[path] ?? 0);
  return { functions, from: paths.from, called: paths.called, self, total: upwards(paths.from, self) };
}
