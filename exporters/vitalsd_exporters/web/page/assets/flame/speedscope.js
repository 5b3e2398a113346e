/*
Files of speedscope (its file-format-schema.json): of py-spy, of other tools, and those of this
agent, which has counted stacks and tells no time.
*/

import { book, listOf, numberOf, Numbers, Paths, Places, profile, textOf, Unreadable } from './form.js';

const UNITS = {
  seconds: ['seconds', 1],
  milliseconds: ['seconds', 1e-3],
  microseconds: ['seconds', 1e-6],
  nanoseconds: ['seconds', 1e-9],
  bytes: ['bytes', 1],
  none: ['samples', 1],
};
const COUNTED = /^vitalsd\b/;

/** Whether a document is one of these. */
export const isSpeedscope = (document) => Array.isArray(document.profiles) && typeof document.shared === 'object';

/** The profiles in it. */
export function readSpeedscope(document) {
  const places = new Places();
  const frames = listOf(document.shared?.frames, 'The list of its frames').map((frame) =>
    places.at(frame?.name, frame?.file, frame?.line),
  );
  const inTime = !COUNTED.test(textOf(document.exporter));
  const profiles = document.profiles.map((each, index) => {
    const name = textOf(each?.name) || `profile ${index + 1}`;
    return { ...readOne(each, `Profile ${index + 1} of this file`, frames, places), name, inTime };
  });
  return book(profiles.map(profile));
}

function readOne(found, what, frames, places) {
  const [unit, scale] = UNITS[textOf(found?.unit)] ?? UNITS.none;
  const read = { sampled, evented }[textOf(found?.type)];
  if (read === undefined) throw new Unreadable(`${what} is neither of samples nor of events.`);
  const paths = new Paths();
  return { unit, places, paths, ...read(found, what, frames, paths, scale) };
}

/** Each sample is the stack of its frames, the outermost first: what it has in common with the last one is known. */
function sampled(found, what, frames, paths, scale) {
  const stacks = listOf(found.samples, `The list of samples of ${what.toLowerCase()}`);
  const given = listOf(found.weights, `The list of weights of ${what.toLowerCase()}`);
  if (given.length !== stacks.length) {
    throw new Unreadable(`${what} has not as many weights (${given.length}) as samples (${stacks.length}).`);
  }
  const samples = new Int32Array(stacks.length);
  const weights = new Float64Array(stacks.length);
  const known = [0];
  let last = [];
  for (let index = 0; index < stacks.length; index += 1) {
    const stack = listOf(stacks[index], `Sample ${index + 1} of ${what.toLowerCase()}`);
    let depth = 0;
    while (depth < stack.length && depth < last.length && stack[depth] === last[depth]) depth += 1;
    for (; depth < stack.length; depth += 1) {
      known[depth + 1] = paths.into(known[depth], placeOf(frames, stack[depth], what));
    }
    samples[index] = known[stack.length];
    weights[index] = Math.max(0, numberOf(given[index], `A weight of ${what.toLowerCase()}`)) * scale;
    last = stack;
  }
  return { samples, weights };
}

/** Frames are opened and closed at some time: between two of these a stack is there for so long. */
function evented(found, what, frames, paths, scale) {
  const samples = new Numbers(Int32Array);
  const weights = new Numbers(Float64Array);
  const open = [];
  const known = [0];
  let since = numberOf(found.startValue ?? 0, `The begin of ${what.toLowerCase()}`);
  const until = (at) => {
    if (at > since) {
      samples.push(known[open.length]);
      weights.push((at - since) * scale);
    }
    since = Math.max(since, at);
  };
  for (const event of listOf(found.events, `The list of events of ${what.toLowerCase()}`)) {
    until(numberOf(event?.at, `The time of an event of ${what.toLowerCase()}`));
    if (event.type === 'O') {
      known[open.length + 1] = paths.into(known[open.length], placeOf(frames, event.frame, what));
      open.push(event.frame);
    } else if (event.type !== 'C' || open.pop() !== event.frame) {
      throw new Unreadable(`${what} closes a frame that is not the innermost one.`);
    }
  }
  if (Number.isFinite(found.endValue)) until(found.endValue);
  return { samples: samples.all, weights: weights.all };
}

function placeOf(frames, number, what) {
  const place = frames[number];
  if (place !== undefined) return place;
  throw new Unreadable(`${what} has frame ${JSON.stringify(number) ?? '?'}, and the file tells of ${frames.length}.`);
}
