/* The captures: those that go on first, then the latest; refused ones too, with the reason. */

import { captureButton, whyNot } from './ask.js';
import { isActive, sizeOf, stateText, took, whereOf } from './captured.js';
import { MOST_ASKED, showList } from './list.js';
import { stateMark } from './states.js';
import { ago, bytes, count, duration, plain } from './words.js';

const CHOICES = [
  { name: 'state', title: 'State' },
  { name: 'kind', title: 'Kind' },
  { name: 'target', title: 'Target' },
  {
    name: 'asked_by',
    title: 'Asked by',
    words: { person: 'somebody', incident: 'an incident', alert: 'an alert' },
  },
];
const columnsOf = (live) => [
  {
    name: 'state',
    title: 'State',
    cell: (row) => ({ ...stateMark(row.state, stateText(row)), bar: isActive(row) ? row.progress : undefined }),
    sort: urgency,
    note: 'Those under way first, the latest first',
  },
  {
    name: 'kind',
    title: 'Kind',
    cell: (row) => ({ text: row.kind, href: addressOf(row) }),
    sort: (row) => row.kind,
  },
  { name: 'where', title: 'Where', cell: whereOf, sort: whereOf },
  {
    name: 'asked',
    title: 'Asked',
    cell: (row) => ago(row.asked_at, live.now()),
    sort: (row) => Date.parse(row.asked_at),
  },
  { name: 'who', title: 'By', cell: whoOf, sort: (row) => row.asked_by },
  { name: 'engine', title: 'Engine', cell: (row) => plain(row.engine ?? '–'), sort: (row) => row.engine ?? '' },
  { name: 'took', title: 'Took', cell: (row) => duration(took(row)), sort: took, align: 'right' },
  { name: 'size', title: 'Size', cell: (row) => bytes(sizeOf(row)), sort: sizeOf, align: 'right' },
  {
    name: 'why',
    title: 'Why, or what was in the way',
    cell: (row) => ({ text: plain(row.problem || row.reason, 300), class: 'words' }),
    sort: (row) => row.problem || row.reason,
  },
];

/** Shows the list, until it is ended. */
export function show(place, params, app) {
  return showList(place, app, {
    topic: 'captures',
    title: 'Captures',
    choices: CHOICES,
    columns: columnsOf(app.live),
    addressOf,
    saidOf,
    olderPath: () => `/api/v1/captures?limit=${MOST_ASKED}`,
    goesOn: isActive,
    none: 'No capture fits: none was asked for, or the filters leave none.',
    sum: (rows) => `${count(rows.filter(isActive).length)} under way`,
    tools: captureButton(app, {}, 'New capture'),
    above: whyNot(app),
  });
}

/** Those that go on before those that have ended, the latest first. */
export function urgency(row) {
  return [isActive(row) ? 0 : 1, -Date.parse(row.asked_at)];
}

function addressOf(row) {
  return `#/captures/${encodeURIComponent(row.id)}`;
}

function whoOf(row) {
  if (row.asked_by === 'incident')
    return { text: 'an incident', href: `#/incidents/${encodeURIComponent(row.incident ?? row.who)}` };
  return row.asked_by === 'alert' ? 'an alert' : plain(row.who);
}

function saidOf(row) {
  return [
    row.id,
    row.kind,
    whereOf(row),
    row.engine ?? '',
    row.who,
    row.reason,
    row.problem ?? '',
    row.about ?? '',
  ].join(' ');
}
