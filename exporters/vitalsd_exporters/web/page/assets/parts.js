/* Parts of evidence and of summaries as elements: facts as a list, rows as a table, stacks, sentences. */

import { h } from './dom.js';
import { stack } from './stack.js';
import { count } from './words.js';

/** One part under its heading; `level` is that of the heading. */
export function part(told, { level = 3, culprit = null } = {}) {
  if (told.sentence !== undefined) return h('p', { class: 'said' }, told.sentence);
  const note = told.note ? h('span', { class: 'aside' }, ` ${told.note}`) : null;
  return h('section', { class: 'part' }, h(`h${level}`, {}, told.heading, note), inside(told, culprit));
}

/** What is known, each with its name; `text` may be an element. */
export function facts(rows) {
  return h(
    'dl',
    { class: 'facts' },
    rows.map(([name, text]) => h('div', {}, h('dt', {}, name), h('dd', {}, text))),
  );
}

function inside(told, culprit) {
  if (told.facts !== undefined) return facts(told.facts);
  if (told.frames !== undefined) return stack(told.frames, culprit);
  return rows(told);
}

function rows({ heading, columns, rows: told, more }) {
  const cell = (column) => (column.number ? { class: 'number' } : {});
  return h(
    'div',
    { class: 'rows', tabindex: '0', role: 'region', 'aria-label': heading },
    h(
      'table',
      {},
      h(
        'thead',
        {},
        h(
          'tr',
          {},
          columns.map((column) => h('th', { scope: 'col', ...cell(column) }, column.title)),
        ),
      ),
      h(
        'tbody',
        {},
        told.map((row) =>
          h(
            'tr',
            {},
            row.map((text, index) => h('td', cell(columns[index]), text)),
          ),
        ),
      ),
    ),
    more > 0 ? h('p', { class: 'aside' }, `and ${count(more)} more, in the JSON`) : null,
  );
}
