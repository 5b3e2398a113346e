/* What grows, of incidents in which something does: a row for each type, coroutine, descriptor and so on. Pure. */

import { isTable, place } from './figures.js';
import { bytes, clock, count, duration, plain, share } from './words.js';

const NOUNS = {
  growing_types: ['type', 'Types that grow'],
  growing_resources: ['resource', 'What keeps the loop going and grows in number'],
  growing_coroutines: ['coroutine', 'Coroutines whose tasks grow in number'],
  growing_descriptors: ['kind', 'Descriptors that grow in number'],
  growing_threads: ['thread', 'Threads that grow in number'],
};
const A_NAME = 400;
const MOST_ROWS = 20;

/** The evidence that is told here. */
export const ABOUT_GROWTH = [
  ...Object.keys(NOUNS),
  'census_at',
  'census_seconds',
  'census_share',
  'no_census_reason',
];

/** All that is known of it, or why nothing is. */
export function growing(evidence, now) {
  const parts = Object.keys(NOUNS)
    .filter((key) => isTable(evidence[key]))
    .map((key) => grown(key, evidence, now));
  if (evidence.no_census_reason) parts.push({ sentence: `What grows: ${plain(evidence.no_census_reason, 1000)}` });
  return parts;
}

function grown(key, evidence, now) {
  const [name, heading] = NOUNS[key];
  const rows = evidence[key];
  const inBytes = rows.some((row) => typeof row.bytes === 'number');
  const waits = rows.some((row) => row.waits_at);
  return {
    heading,
    note: within(evidence, now),
    columns: [
      { title: name },
      { title: 'more', number: true },
      ...(inBytes ? [{ title: 'of memory', number: true }] : []),
      { title: 'now', number: true },
      ...(waits ? [{ title: 'one waits in' }] : []),
    ],
    rows: rows
      .slice(0, MOST_ROWS)
      .map((row) => [
        row.file ? place({ ...row, function: row[name] }) : plain(row[name], A_NAME),
        typeof row.grew === 'number' ? `+${count(row.grew)}` : '–',
        ...(inBytes ? [bytes(row.bytes ?? null)] : []),
        count(row.now ?? null),
        ...(waits ? [row.waits_at ? place(row.waits_at) : '–'] : []),
      ]),
    more: Math.max(0, rows.length - MOST_ROWS),
  };
}

function within(evidence, now) {
  const { census_seconds: seconds, census_share: looked, census_at: at } = evidence;
  return [
    typeof seconds === 'number' ? `in ${duration(seconds)}` : '',
    typeof looked === 'number' && looked !== 1 ? `estimated from ${share(looked)} of the memory` : '',
    typeof at === 'string' ? `as of ${clock(at, now)}` : '',
  ]
    .filter(Boolean)
    .join(', ');
}
