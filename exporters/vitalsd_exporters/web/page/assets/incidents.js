/*
The incidents: those that are open first, the worst first, with filters that stand in the address.

The stream tells what is open or lately was; what lies longer ago is asked of the API when somebody wants it, a thousand
at a time at the most.
*/

import { fill, h } from './dom.js';
import { fits, valuesOf } from './filters.js';
import { rankOf, severity } from './marks.js';
import { stateMark } from './states.js';
import { table } from './table.js';
import { toolbar } from './toolbar.js';
import { ago, basename, count, plain } from './words.js';

const MOST_ASKED = 1000;
const AGES_MILLISECONDS = 10_000;
const CHOICES = [
  { name: 'state', title: 'State', any: 'open and resolved' },
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
    cell: (row) => ({ text: plain(row.summary, 300), class: 'words' }),
    sort: (row) => row.summary,
  },
];

/** Shows the list, until it is ended. */
export function show(place, params, app) {
  app.title('Incidents');
  const older = new Map();
  const note = h('p', { class: 'hint', role: 'status' });
  const many = h('p', { class: 'told' });
  const bar = toolbar({ label: 'Which incidents', choices: CHOICES, changed: () => draw() });
  const list = table({
    label: 'Incidents',
    columns: columnsOf(app.live),
    key: (row) => row.id,
    open: (row) => app.go(addressOf(row)),
    rowClass: (row) => (row.state === 'resolved' ? 'past' : ''),
    empty: () =>
      app.live.state === 'connecting'
        ? 'Asking the agent…'
        : 'No incident fits: nothing of the kind was found, or the filters leave none.',
  });
  const more = h('button', { type: 'button', on: { click: () => askForOlder() } }, 'Show older ones');

  function rows() {
    const all = new Map(older);
    for (const [id, incident] of app.live.incidents) all.set(id, incident);
    return [...all.values()];
  }
  function draw() {
    const all = rows();
    for (const { name } of CHOICES)
      bar.offer(name, name === 'state' ? ['open', 'resolved'] : valuesOf(all, name, bar.filters[name]));
    const shown = all.filter((row) => fits(row, bar.filters, saidOf));
    const open = all.filter((row) => row.state === 'open').length;
    many.textContent = `${count(shown.length)} of ${count(all.length)}, ${count(open)} open`;
    list.update(shown);
  }
  async function askForOlder() {
    more.disabled = true;
    note.textContent = 'Asking for older ones ...';
    try {
      const answer = await app.api.get(olderPath(bar.filters));
      const before = rows().length;
      for (const incident of answer.incidents) older.set(incident.id, incident);
      draw();
      note.textContent = answer.problem
        ? plain(answer.problem, 1000)
        : found(rows().length - before, answer.incidents.length);
    } catch (error) {
      note.textContent = plain(error.message, 1000);
    } finally {
      more.disabled = false;
    }
  }

  fill(
    place,
    h('div', { class: 'bar-above' }, h('h1', {}, 'Incidents'), many),
    bar.element,
    list.element,
    h('footer', { class: 'more' }, more, note),
  );
  draw();
  const offs = ['incidents', 'state'].map((topic) => app.live.on(topic, draw));
  const ages = setInterval(draw, AGES_MILLISECONDS);
  return () => {
    for (const off of offs) off();
    clearInterval(ages);
    bar.end();
    list.end();
  };
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
  const query = new URLSearchParams({ limit: String(MOST_ASKED) });
  for (const name of ['state', 'kind', 'target']) if (filters[name]) query.set(name, filters[name]);
  return `/api/v1/incidents?${query}`;
}

function found(added, told) {
  if (told >= MOST_ASKED)
    return `${count(added)} more; the agent tells ${count(MOST_ASKED)} at a time: choose a target or a kind for others.`;
  return added === 0 ? 'There are no older ones.' : `${count(added)} more.`;
}
