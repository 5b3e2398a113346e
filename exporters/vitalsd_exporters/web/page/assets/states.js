/* States of incidents, captures and rules as a sign and a word, as marks.js has those of workers. */

import { h } from './dom.js';
import { severity } from './marks.js';
import { plain } from './words.js';

const SIGNS = {
  open: '●',
  resolved: '✓',
  waiting: '○',
  running: '◐',
  stopping: '◑',
  done: '✓',
  failed: '✕',
  cancelled: '–',
  refused: '⊘',
  fired: '▲',
  watching: '◐',
  unavailable: '?',
  quiet: '·',
};

/** A state as a part of a cell; `words` are said in its place, with how far it is. */
export function stateMark(name, words = name) {
  return Object.hasOwn(SIGNS, name)
    ? { text: `${SIGNS[name]} ${words}`, class: `state ${name}` }
    : { text: plain(words) };
}

/** The same as an element. */
export function stateOf(name, words = name) {
  return element(stateMark(name, words));
}

/** A severity as an element. */
export function severityOf(name) {
  return element(severity(name));
}

function element({ text, class: name }) {
  return h('span', { class: name }, text);
}
