/* A file of a capture in the viewer: fetched whole, and drawn by flame/open.js. */

import { fill, h } from './dom.js';
import { pathOf, whatIs } from './files.js';
import { plain } from './words.js';

/** Shows one, until it is ended. */
export function show(place, { id, file }, app) {
  app.title(`${file} of capture ${id}`);
  const stage = h('div', { class: 'stage' }, h('p', { class: 'hint', role: 'status' }, 'Fetching the file ...'));
  const state = { over: false, end: null };
  const leaving = new AbortController();
  const open = async () => {
    try {
      const [{ openFlame }, answer] = await Promise.all([
        import('./flame/open.js'),
        app.api.open(pathOf(id, file), { signal: leaving.signal }),
      ]);
      const text = await answer.text();
      if (state.over) return;
      fill(stage);
      state.end = openFlame(stage, { name: file, mediaType: answer.headers.get('content-type') ?? '', text });
    } catch (error) {
      if (!state.over) fill(stage, h('p', { class: 'error', role: 'alert' }, plain(error.message, 1000)));
    }
  };
  const back = `#/captures/${encodeURIComponent(id)}`;
  const download = h('a', { class: 'button', href: pathOf(id, file), download: file }, 'Download');
  fill(
    place,
    h(
      'div',
      { class: 'crumbs' },
      h('a', { href: '#/captures' }, 'Captures'),
      '/',
      h('a', { href: back }, h('code', {}, plain(id))),
      '/',
      h('h1', {}, plain(file)),
      h('span', { class: 'hint' }, whatIs(file)),
      h('span', { class: 'tools' }, download),
    ),
    stage,
  );
  open();
  return () => {
    state.over = true;
    leaving.abort();
    state.end?.();
  };
}
