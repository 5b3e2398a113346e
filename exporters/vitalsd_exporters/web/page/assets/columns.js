/*
The columns of workers and of targets alike, and how each figure is said.
*/

import { BOUNDS, between, openParts, tone } from './marks.js';
import { opened } from './rows.js';
import { ago, bytes, count, share } from './words.js';

const HOUR = 3600;
const MIB = 1024 * 1024;
const { SOON_SECONDS, VERY_SOON_SECONDS } = BOUNDS;

/** For rows of rows.js; `fold` is called for a target whose workers are to be folded, or no longer. */
export function columns(live, fold) {
  const number = (name, title, note, cell, sort, more = {}) => ({
    name,
    title,
    note,
    align: 'right',
    cell,
    sort,
    ...more,
  });
  return [
    { name: 'name', title: 'Worker', cell: (row) => named(row, fold), sort: (row) => row.title },
    { name: 'state', title: 'State', cell: (row) => row.parts, sort: (row) => row.urgent },
    {
      name: 'open',
      title: 'Incidents',
      note: 'That are open, by severity',
      cell: (row) => (row.href ? openParts(row.open) : ''),
      sort: (row) => opened(row.open),
    },
    number(
      'delay',
      'Delay p99',
      'One callback in a hundred waits so long, or longer, in the last minute: the figure lies between these bounds',
      ({ delay_p99_seconds: its }) => between(its),
      (row) => row.delay_p99_seconds?.[0] ?? null,
    ),
    number(
      'busy',
      'Busy',
      'Of the time of the busiest loop, in the last minute',
      ({ busy_share: its }) => barred(its, share(its), ''),
      (row) => row.busy_share,
    ),
    number(
      'cpu',
      'CPU',
      'Of one processor, in the last minute',
      (row) => share(row.cpu_share),
      (row) => row.cpu_share,
      { wide: true },
    ),
    number(
      'stalls',
      'Stalls',
      'That have ended in the last minute',
      (row) => zero(row.stalls),
      (row) => row.stalls,
      { wide: true },
    ),
    number(
      'memory',
      'Memory',
      'Its own, against the limit that is met first',
      memory,
      (row) => row.limit_share ?? row.memory_bytes,
    ),
    {
      name: 'forecast',
      title: 'Forecast',
      note: 'Where its memory is going',
      cell: (row) => forecast(row, live.now()),
      sort: (row) => row.exhausted_at,
    },
    number(
      'restarts',
      'Restarts',
      'Of this place, since it is known',
      (row) => zero(row.restarts),
      (row) => row.restarts,
    ),
    {
      name: 'since',
      title: 'Since',
      wide: true,
      cell: (row) => (row.since_at ? { text: ago(row.since_at, live.now()), title: row.since_at } : ''),
      sort: (row) => row.since_at,
    },
    { name: 'what', title: 'Runtime', wide: true, cell: (row) => row.what, sort: (row) => row.what },
  ];
}

function named(row, fold) {
  if (row.sort === 'folded') return { text: `${row.count} more that are well`, press: () => fold(row.target) };
  if (row.sort === 'unfolded') return { text: 'Fold those that are well', press: () => fold(row.target) };
  return { text: row.title, href: row.href };
}

function memory(row) {
  const words =
    row.limit_bytes === null ? bytes(row.memory_bytes) : `${bytes(row.memory_bytes)} / ${bytes(row.limit_bytes)}`;
  const title = row.limit_share === null ? undefined : `${share(row.limit_share)} of the limit ${isUsed(row)}`;
  return { ...barred(row.limit_share, words, tone(row.limit_share)), title };
}

/** Whose use it is: a control group's limit is met by all together, any other by the process alone. */
export function isUsed({ limit_kind: kind }) {
  return kind === 'group' ? 'is used, by all who share it' : 'is used';
}

function barred(value, words, mark) {
  return { text: words, bar: value, mark };
}

/** What is nothing out of the ordinary is not loud. */
function zero(n) {
  return n === 0 || n === null ? { text: count(n), class: 'faint' } : count(n);
}

/** Where memory is going: when it meets its limit, or how it grows. */
export function forecast({ exhausted_at: at, growth_bytes_per_second: growth }, now) {
  if (at !== null) {
    const left = (Date.parse(at) - now) / 1000;
    return {
      text: left > 0 ? `full ${ago(at, now)}` : 'full now',
      class: left < VERY_SOON_SECONDS ? 'critical' : left < SOON_SECONDS ? 'warning' : 'quiet',
      title: at,
    };
  }
  if (growth === null) return { text: '–', class: 'faint' };
  const hourly = growth * HOUR;
  if (Math.abs(hourly) < MIB) return { text: 'steady', class: 'faint' };
  return { text: `${hourly > 0 ? '+' : ''}${bytes(hourly)}/h`, class: 'quiet' };
}
