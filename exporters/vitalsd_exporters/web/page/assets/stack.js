/*
A stack, innermost frame first: the service's own code is marked, and what packages and the language do between is
folded, as nobody looks for a fault there first.
*/

import { h } from './dom.js';
import { originOf, packageOf } from './flame/origin.js';
import { count, plain } from './words.js';

const FOLDED = { package: '', standard: 'the standard library', framework: '', loop: 'the event loop' };
const MOST_FRAMES = 200;

/** Whose code a frame is: `own`, or the name of what it is a part of. */
export function whose({ function: name, file }) {
  const path = String(file ?? '');
  const origin = originOf(String(name ?? ''), path);
  return origin === 'own' ? origin : FOLDED[origin] || packageOf(path) || path.split('/')[0];
}

/**
 * Frames in runs: `{own, frame}`, or `{names, frames}` of two and more that are not the service's own. The innermost
 * frame is always shown, since it is what was at work; a stack without own code is shown as it is.
 */
export function folded(frames) {
  const told = frames.slice(0, MOST_FRAMES).map((frame) => ({ frame, of: whose(frame) }));
  if (!told.some((each) => each.of === 'own')) return told.map(({ frame, of }) => ({ own: false, of, frame }));
  const runs = [];
  for (const [index, { frame, of }] of told.entries()) {
    const last = runs.at(-1);
    if (of === 'own' || index === 0) runs.push({ own: of === 'own', of, frame });
    else if (last?.frames !== undefined) last.frames.push({ frame, of });
    else runs.push({ frames: [{ frame, of }] });
  }
  return runs.map((run) => (run.frames?.length === 1 ? { own: false, ...run.frames[0] } : run));
}

/** The names of whose frames a run has, each once. */
export function namesOf(run) {
  return [...new Set(run.frames.map((each) => each.of))];
}

/** A stack as a list; the frame in which the culprit is said to be is named so. */
export function stack(frames, culprit = null) {
  const runs = folded(frames);
  const left = frames.length - MOST_FRAMES;
  let named = false;
  const list = runs.map((run) => {
    if (run.frames !== undefined) return fold(run);
    const blamed = !named && culprit !== null && isIn(run.frame, culprit);
    named ||= blamed;
    return h('li', { class: run.own ? 'frame own' : 'frame' }, ...line(run.frame), ...marks(run, blamed));
  });
  if (left > 0) list.push(h('li', { class: 'frame' }, `and ${count(left)} more, in the JSON below`));
  return h('ol', { class: 'frames' }, list);
}

function fold(run) {
  const names = namesOf(run);
  const told = names.length > 4 ? `${names.slice(0, 4).join(', ')} and others` : names.join(', ');
  return h(
    'li',
    { class: 'fold' },
    h(
      'details',
      {},
      h('summary', {}, `${count(run.frames.length)} frames of ${plain(told)}`),
      h(
        'ol',
        { class: 'frames' },
        run.frames.map(({ frame }) => h('li', { class: 'frame' }, ...line(frame))),
      ),
    ),
  );
}

function line(frame) {
  const file = plain(frame.file, 1000);
  const cut = file.lastIndexOf('/') + 1;
  return [
    h('span', { class: 'function' }, plain(frame.function, 400)),
    ' ',
    h('span', { class: 'path' }, file.slice(0, cut), h('b', {}, `${file.slice(cut)}:${plain(frame.line)}`)),
  ];
}

function marks(run, blamed) {
  const said = blamed ? 'culprit' : run.own ? 'own code' : null;
  return said === null ? [] : [' ', h('span', { class: blamed ? 'tag blamed' : 'tag' }, said)];
}

function isIn(frame, culprit) {
  return frame.function === culprit.function && frame.file === culprit.file;
}
