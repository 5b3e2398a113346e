/* Parts of evidence and of summaries as elements: facts as a list, rows as a table, stacks, sentences. */

import { sparkline } from './chart.js';
import { h, vary } from './dom.js';
import { stack } from './stack.js';
import { count, plain } from './words.js';

const A_LINE = 2000;

/** One part under its heading; `level` is that of the heading. */
export function part(told, { level = 3, culprit = null } = {}) {
  if (told.sentence !== undefined) return h('p', { class: 'lone' }, coded(told.sentence));
  const note = told.note ? h('span', { class: 'quiet' }, ` ${told.note}`) : null;
  return h('section', { class: 'part' }, h(`h${level}`, {}, told.heading, note), inside(told, culprit));
}

/** The sentence of an incident as a heading: what is so, and after it how bad it is and what to do. */
export function sentence(text) {
  const cut = text.indexOf('; ');
  const [first, rest] = cut < 0 ? [text, ''] : [text.slice(0, cut + 1), text.slice(cut + 1)];
  return h('h1', { class: 'sentence' }, coded(first), rest ? h('span', { class: 'rest' }, coded(rest)) : null);
}

/** The lines of a text, each with an end, and without what cannot be seen. */
export function lines(text) {
  return text
    .split('\n')
    .map((line) => plain(line, A_LINE))
    .join('\n');
}

/** A sentence in which what stands between backticks is code. */
export function coded(sentence) {
  return sentence.split('`').map((each, index) => (index % 2 === 1 ? h('code', {}, each) : each));
}

/** What is known, each with its name: a fact of evidence.js, or an element. */
export function facts(rows) {
  return h(
    'dl',
    { class: 'facts' },
    rows.map(([name, text]) => [h('dt', {}, name), h('dd', {}, said(text))]),
  );
}

function said(told) {
  if (told.values?.length > 1)
    return [h('span', { class: 'lows' }, sparkline(told.values, { label: told.text })), told.text];
  return told.href === undefined || told instanceof Node ? told : h('a', { href: told.href }, told.text);
}

function inside(told, culprit) {
  if (told.facts !== undefined) return facts(told.facts);
  if (told.frames !== undefined) return stack(told.frames, culprit);
  return rows(told);
}

function inCell(told) {
  if (told.bar === undefined) return told;
  const bar = h('span', { class: 'bar', 'aria-hidden': 'true' }, h('span', {}));
  return [vary(bar, 'share', Math.max(0, Math.min(1, told.bar))), told.text];
}

function rows({ heading, columns, rows: told, more }) {
  const cell = (column) => (column.number ? { class: 'right' } : {});
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
            row.map((text, index) => h('td', cell(columns[index]), inCell(text))),
          ),
        ),
      ),
    ),
    more > 0 ? h('p', { class: 'hint' }, `and ${count(more)} more, in the JSON`) : null,
  );
}
