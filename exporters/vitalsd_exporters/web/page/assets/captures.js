/* The captures: those that go on first, then the latest; refused ones too, with the reason. */

import { captureButton, whyNot } from './ask.js';
import { isActive, sizeOf, stateText, took, whereOf } from './captured.js';
import { fill, h } from './dom.js';
import { fits, valuesOf } from './filters.js';
import { stateMark } from './states.js';
import { table } from './table.js';
import { toolbar } from './toolbar.js';
import { ago, bytes, count, duration, plain } from './words.js';

const MOST_ASKED = 1000;
const AGES_MILLISECONDS = 10_000;
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
  app.title('Captures');
  const older = new Map();
  const many = h('p', { class: 'told' });
  const note = h('p', { class: 'hint', role: 'status' });
  const bar = toolbar({ label: 'Which captures', choices: CHOICES, changed: () => draw() });
  const list = table({
    label: 'Captures',
    columns: columnsOf(app.live),
    key: (row) => row.id,
    open: (row) => app.go(addressOf(row)),
    empty: () =>
      app.live.state === 'connecting'
        ? 'Asking the agent…'
        : 'No capture fits: none was asked for, or the filters leave none.',
  });
  const more = h('button', { type: 'button', on: { click: () => askForOlder() } }, 'Show older ones');

  function draw() {
    const all = [...new Map([...older, ...app.live.captures]).values()];
    for (const { name } of CHOICES) bar.offer(name, valuesOf(all, name, bar.filters[name]));
    const shown = all.filter((row) => fits(row, bar.filters, saidOf));
    many.textContent = `${count(shown.length)} of ${count(all.length)}, ${count(all.filter(isActive).length)} under way`;
    list.update(shown);
  }
  async function askForOlder() {
    more.disabled = true;
    try {
      const { captures } = await app.api.get(`/api/v1/captures?limit=${MOST_ASKED}`);
      const known = new Set([...older.keys(), ...app.live.captures.keys()]);
      for (const capture of captures) older.set(capture.id, capture);
      const added = captures.filter((each) => !known.has(each.id)).length;
      note.textContent = added === 0 ? 'There are no older ones.' : `${count(added)} more.`;
      draw();
    } catch (error) {
      note.textContent = plain(error.message, 1000);
    } finally {
      more.disabled = false;
    }
  }

  fill(
    place,
    h(
      'div',
      { class: 'bar-above' },
      h('h1', {}, 'Captures'),
      many,
      h('div', { class: 'tools' }, captureButton(app, {}, 'New capture')),
    ),
    whyNot(app),
    bar.element,
    list.element,
    h('footer', { class: 'more' }, more, note),
  );
  draw();
  const offs = ['captures', 'state'].map((topic) => app.live.on(topic, draw));
  const ages = setInterval(draw, AGES_MILLISECONDS);
  return () => {
    for (const off of offs) off();
    clearInterval(ages);
    bar.end();
    list.end();
  };
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
