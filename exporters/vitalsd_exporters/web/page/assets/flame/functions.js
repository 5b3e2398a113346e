/* The functions of a profile as a table: what a screen reader and a keyboard have of it, and the shortest way to a name. */

import { table } from '../table.js';
import { plain } from '../words.js';
import { amount, originWords, placeWords, share } from './tell.js';

const MOST_NAME = 160;

/** The table; `open(called)` is told which function somebody wants to see, and `chosen()` says which is shown. */
export function functionTable({ open, chosen }) {
  const of = { unit: 'samples', whole: 0 };
  const part = (value) => (of.whole > 0 ? value / of.whole : 0);
  const weighed = (name, title, note, value) => ({
    name,
    title,
    note,
    align: 'right',
    cell: (row) => [
      { text: amount(value(row), of.unit), class: 'flame-amount', bar: part(value(row)) },
      ' ',
      { text: share(part(value(row))), class: 'flame-share' },
    ],
    sort: value,
  });
  const list = table({
    label: 'Functions',
    columns: [
      { name: 'function', title: 'Name', cell: nameCell, sort: (row) => row.name },
      weighed('self', 'Itself', 'What the function took itself', (row) => row.self),
      weighed('total', 'With calls', 'What the function took with all that it called', (row) => row.total),
    ],
    key: (row) => row.number,
    open: (row) => open(row.number),
    order: { name: 'self', down: true },
    rowClass: (row) => `${row.origin}${row.number === chosen() ? ' chosen' : ''}`,
    empty: 'Nothing has this in its name.',
  });
  return {
    element: list.element,
    end: list.end,
    /** Show the functions that took something, or those of them that are searched for. */
    update({ functions, sums, matched, unit, whole }) {
      Object.assign(of, { unit, whole });
      const rows = functions.map((called, number) => ({
        ...called,
        number,
        self: sums.self[number],
        total: sums.total[number],
      }));
      list.update(rows.filter((row) => row.total > 0 && (matched === null || matched[row.number] === 1)));
    },
  };
}

function nameCell(row) {
  return [
    { text: '', class: `flame-swatch ${row.origin}` },
    { text: plain(row.name, MOST_NAME), class: 'flame-name', title: plain(row.name, 1000) },
    ' ',
    { text: plain(placeWords(row)), class: 'quiet', title: `${plain(row.file, 1000)}\n${originWords(row)}` },
  ];
}
