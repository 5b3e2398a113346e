/*
The files of a capture: which of them our viewer reads, which are text that is shown in place, and where each is
fetched from.
*/

import { fill, h } from './dom.js';
import { lines } from './parts.js';
import { bytes, plain } from './words.js';

const READERS = [
  [/\.speedscope\.json$/, 'Open the profile'],
  [/\.cpuprofile$/, 'Open the profile of V8'],
  [/\.heapprofile$/, 'Open what was allocated'],
  [/^top-sites\.json$/, 'Open what was allocated'],
];
const IN_PLACE = /^(?:stacks|census)\.txt$/;
const PAGES = /\.(?:svg|html)$/;
const ANEW = { target: '_blank', rel: 'noopener' };
const MOST_SHOWN_BYTES = 4 * 2 ** 20;
const WHAT = [
  [/\.svg$/, 'flame graph'],
  [/\.html$/, "memray's flame graph"],
  [/\.speedscope\.json$/, 'profile, for speedscope.app too'],
  [/\.folded\.txt$/, 'folded stacks'],
  [/\.cpuprofile$/, "V8's profile, for Chrome DevTools too"],
  [/\.heapprofile$/, 'allocations, for Chrome DevTools too'],
  [/\.heapsnapshot$/, 'heap snapshot, for Chrome DevTools'],
  [/^top-sites\.json$/, 'who has allocated what is kept, with stacks'],
  [/^stacks\.(?:txt|json)$/, 'stacks of all threads'],
  [/^census\.(?:txt|json)$/, 'what lives, by type'],
  [/\.bin$/, "memray's recording"],
];

/** Those that our viewer reads: one for each thing there is to see. */
export function readable(capture) {
  const found = new Map();
  for (const [pattern, title] of READERS) {
    const file = (capture.artifacts ?? []).find(({ name }) => pattern.test(name));
    if (file !== undefined && !found.has(title)) found.set(title, { name: file.name, title });
  }
  return [...found.values()];
}

/** Where our viewer shows one. */
export function viewerOf(capture, name) {
  return `#/captures/${encodeURIComponent(capture.id)}/${encodeURIComponent(name)}`;
}

/** Where one is fetched. */
export function pathOf(id, name) {
  return `/api/v1/captures/${encodeURIComponent(id)}/files/${encodeURIComponent(name)}`;
}

/** What a file is, for people; empty where its name says it. */
export function whatIs(name) {
  return WHAT.find(([pattern]) => pattern.test(name))?.[1] ?? '';
}

/** All files with their sizes, each to be fetched, and to be looked at where that can be done here. */
export function fileList(capture, app) {
  const views = new Set(readable(capture).map(({ name }) => name));
  return h(
    'ul',
    { class: 'files' },
    capture.artifacts.map(({ name, size_bytes: size }) =>
      h(
        'li',
        {},
        h('a', { href: pathOf(capture.id, name), ...(PAGES.test(name) ? ANEW : { download: name }) }, plain(name)),
        h('span', { class: 'quiet' }, ` ${bytes(size)}${whatIs(name) ? `, ${whatIs(name)}` : ''}`),
        views.has(name) ? h('a', { class: 'button', href: viewerOf(capture, name) }, 'Open in the viewer') : null,
        PAGES.test(name) ? h('span', { class: 'quiet' }, ' (a page of its own, in a new tab)') : null,
        IN_PLACE.test(name) && size <= MOST_SHOWN_BYTES ? inPlace(capture.id, name, app) : null,
      ),
    ),
  );
}

/** A text file that is fetched and shown as soon as somebody unfolds it. */
function inPlace(id, name, app) {
  const content = h('pre', { class: 'raw', tabindex: '0' }, 'Fetching ...');
  let asked = false;
  const look = async () => {
    if (asked) return;
    asked = true;
    try {
      const answer = await app.api.open(pathOf(id, name));
      fill(content, lines(await answer.text()));
    } catch (error) {
      asked = false;
      fill(content, plain(error.message, 1000));
    }
  };
  const details = h(
    'details',
    { class: 'file', on: { toggle: () => details.open && look() } },
    h('summary', {}, 'Show it here'),
    content,
  );
  return details;
}
