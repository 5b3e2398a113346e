/*
The viewer of profiles: reads a file, and shows it as a graph and as a table, which say the same. Files come from
captures, and what is in them the watched service has chosen: whatever is read becomes text and numbers, or a sentence.
*/

import { fill, h } from '../dom.js';
import { plain } from '../words.js';
import { Unreadable } from './form.js';
import { read } from './read.js';
import { Viewer } from './viewer.js';

const MOST_SENTENCE = 400;

/** Show a file in `place`, or say what is wrong with it; returns how to end it. */
export function openFlame(place, { name, text }) {
  let book;
  try {
    book = read(text);
  } catch (error) {
    if (!(error instanceof Unreadable)) throw error;
    fill(place, h('p', { class: 'empty', role: 'alert' }, `${plain(name)}: ${plain(error.message, MOST_SENTENCE)}`));
    return () => fill(place);
  }
  const viewer = new Viewer(book, plain(name, 80));
  fill(place, viewer.element);
  viewer.begin();
  return () => {
    viewer.end();
    fill(place);
  };
}
