/*
The incidents: those that are open first, the worst first, with filters that stand in the address.
*/

import { MOST_ASKED, showList } from './list.js';
import { rankOf, severity } from './marks.js';
import { stateMark } from './states.js';
import { ago, basename, count, plain, spoken } from './words.js';

const CHOICES = [
  { name: 'state', title: 'State', any: 'open and resolved', values: ['open', 'resolved'] },
  { name: 'severity', title: 'Severity' },
  { name: 'kind', title: 'Kind' },
  { name: 'target', title: 'Target' },
];
const columnsOf = (live) => [
  {
    name: 'severity',
    title: 'Severity',
    cell: (row) => severity(row.severity),
    sort: urgency,
    note: 'Open ones first, the worst first, the latest first',
  },
  { name: 'state', title: 'State', cell: (row) => stateMark(row.state), sort: (row) => row.state },
  { name: 'what', title: 'What', cell: (row) => ({ text: whatOf(row), href: addressOf(row) }), sort: whatOf },
  { name: 'where', title: 'Where', cell: whereOf, sort: whereOf },
  { name: 'culprit', title: 'Culprit', cell: culpritOf, sort: culpritOf },
  {
    name: 'opened',
    title: 'Since',
    cell: (row) => ago(row.opened_at, live.now()),
    sort: (row) => Date.parse(row.opened_at),
  },
  { name: 'count', title: 'Times', cell: (row) => count(row.count), sort: (row) => row.count, align: 'right' },
  {
    name: 'summary',
    title: 'In words',
    cell: (row) => ({ text: spoken(row.summary), class: 'words' }),
    sort: (row) => row.summary,
  },
];

/** Shows the list, until it is ended. */
export function show(place, params, app) {
  return showList(place, app, {
    topic: 'incidents',
    title: 'Incidents',
    choices: CHOICES,
    columns: columnsOf(app.live),
    rowClass: (row) => (row.state === 'resolved' ? 'past' : ''),
    addressOf,
    saidOf,
    olderPath,
    goesOn: (row) => row.state === 'open',
    none: 'No incident fits: nothing of the kind was found, or the filters leave none.',
    sum: (rows) => `${count(rows.filter((row) => row.state === 'open').length)} open`,
  });
}

/** Open before resolved, of those that are open the worse before the milder, the latest before the earlier. */
export function urgency(row) {
  const open = row.state === 'open';
  return [open ? 0 : 1, open ? rankOf(row.severity) : 0, -Date.parse(row.updated_at ?? row.opened_at)];
}

/** `stall/blocking_cpu`, `worker_down/SIGSEGV`. */
export function whatOf(incident) {
  const fault = String(incident.fault ?? '').split(',')[0];
  return plain([incident.kind, incident.cause || fault].filter(Boolean).join('/'));
}

function addressOf(row) {
  return `#/incidents/${encodeURIComponent(row.id)}`;
}

function whereOf(row) {
  return plain(row.worker ? `${row.target}/${row.worker}` : row.target);
}

function culpritOf({ culprit }) {
  return culprit ? `${plain(culprit.function)} (${basename(culprit.file)}:${plain(culprit.line)})` : '';
}

function saidOf(row) {
  return [row.id, whatOf(row), whereOf(row), culpritOf(row), row.culprit?.file ?? '', row.summary].join(' ');
}

function olderPath(filters) {
  const query = new URLSearchParams({ limit: String(MOST_ASKED), view: 'brief' });
  for (const name of ['state', 'kind', 'target']) if (filters[name]) query.set(name, filters[name]);
  return `/api/v1/incidents?${query}`;
}
