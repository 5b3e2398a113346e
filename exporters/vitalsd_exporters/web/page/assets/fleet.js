/*
Every worker at a glance, below what is wrong in sentences: in groups of their targets, or all in one list.
*/

import { columns } from './columns.js';
import { fill, h, set, text } from './dom.js';
import { rankOf, severity, urgency } from './marks.js';
import { grouped, hrefOf, workerRow } from './rows.js';
import { part, shownOf, table } from './table.js';
import { duration, many, plain, spoken } from './words.js';

const MOST_SENTENCES = 4;
const WELL = 3;

/** The fleet, until it is ended. */
export function show(place, params, app) {
  const { live } = app;
  const asked = params.query;
  const wanted = {
    words: asked.get('q') ?? '',
    flat: asked.get('flat') === '1',
    wrong: asked.get('wrong') === '1',
  };
  const unfolded = new Set();
  app.title('Fleet');

  const box = h('input', {
    ...{ type: 'search', id: 'filter', placeholder: 'Filter: target, worker, state', autocomplete: 'off' },
    ...{ value: wanted.words, 'aria-label': 'Filter', on: { input: () => change({ words: box.value }) } },
  });
  const flat = toggle('Flat list', 'All workers in one list, without their targets', wanted.flat, (on) =>
    change({ flat: on }),
  );
  const wrong = toggle(
    'Only what is wrong',
    'Without workers that are up and have no open incident',
    wanted.wrong,
    (on) => change({ wrong: on }),
  );
  const told = h('p', { class: 'told' });
  const tally = h('p', { class: 'tally' });
  const sentences = h('ul', { class: 'sentences', 'aria-label': 'The worst of what is open' });
  const list = table({
    label: 'Workers',
    columns: columns(live, fold),
    key: (row) => row.id,
    open: (row) => (row.href === null ? fold(row.target) : app.go(row.href)),
    empty: () => nothing(live, wanted),
    order: { name: 'state', down: false },
    group: (row) => (wanted.flat ? 0 : row.group),
    rowClass: (row) => `${row.sort} ${row.urgent === 0 ? 'urgent' : ''}`,
  });
  const tools = h('div', { class: 'tools', role: 'search' }, told, box, flat, wrong);
  place.append(h('div', { class: 'bar-above' }, h('h1', {}, 'Fleet'), tally, tools), sentences, list.element);

  function change(its) {
    Object.assign(wanted, its);
    const query = new URLSearchParams({
      ...(wanted.words && { q: wanted.words }),
      ...(wanted.flat && { flat: '1' }),
      ...(wanted.wrong && { wrong: '1' }),
    });
    history.replaceState(null, '', `#/${query.size > 0 ? `?${query}` : ''}`);
    drawWorkers();
  }

  function fold(name) {
    if (!unfolded.delete(name)) unfolded.add(name);
    drawWorkers();
  }

  function drawWorkers() {
    const workers = [...live.workers.values()];
    const fitting = workers.filter((row) => fits(row, wanted));
    const all = wanted.words === '' && !wanted.wrong;
    const targets = all ? live.targets : [];
    const open = all ? unfolded : new Set(fitting.map((row) => row.target));
    list.update(
      wanted.flat ? fitting.map(workerRow) : grouped(fitting, targets, [...live.incidents.values()], open),
    );
    text(told, workers.length === 0 ? '' : shownOf(fitting.length, workers.length, 'worker'));
    text(tally, summary(workers));
    set(tally, 'class', `tally ${workers.some((row) => urgency(row) === 0) ? 'critical' : ''}`);
  }

  let before = '';
  function drawSentences() {
    const open = [...live.incidents.values()].filter((each) => each.state === 'open' && each.severity !== 'info');
    open.sort((a, b) => rankOf(a.severity) - rankOf(b.severity) || b.opened_at.localeCompare(a.opened_at));
    const shown = open.slice(0, MOST_SENTENCES);
    const now = JSON.stringify([
      open.length,
      shown.map(({ id, severity: its, summary: said }) => [id, its, said]),
    ]);
    if (now === before) return;
    before = now;
    fill(
      sentences,
      shown.map((each) => sentence(each)),
      open.length > shown.length && more(open.length - shown.length),
    );
    sentences.hidden = shown.length === 0;
  }

  const offs = [
    live.on('workers', drawWorkers),
    live.on('state', drawWorkers),
    live.on('incidents', () => {
      drawSentences();
      drawWorkers();
    }),
  ];
  drawSentences();
  drawWorkers();
  return () => {
    offs.forEach((off) => off());
    list.end();
  };
}

function sentence({ id, severity: its, target, worker, kind, summary: said }) {
  const whom = worker === '' ? plain(target, 60) : `${plain(target, 60)} / ${plain(worker, 20)}`;
  return h(
    'li',
    { class: its },
    part(severity(its)),
    h('a', { class: 'whom', href: hrefOf(target, worker === '' ? null : worker) }, whom),
    h(
      'a',
      { class: 'said', href: `#/incidents/${encodeURIComponent(id)}`, title: spoken(said, 600) },
      h('span', { class: 'quiet' }, `${kind} `),
      spoken(said),
    ),
  );
}

function more(n) {
  return h('li', {}, h('a', { href: '#/incidents' }, `and ${many(n, 'more that is open', 'more that are open')}`));
}

function fits(row, { words, wrong }) {
  if (wrong && urgency(row) >= WELL) return false;
  const { target, worker, state, runtime, version, pid } = row;
  const told = `${target}/${worker} ${state} ${runtime} ${version ?? ''} ${pid ?? ''}`.toLowerCase();
  return words
    .toLowerCase()
    .split(/\s+/)
    .every((word) => told.includes(word));
}

function nothing(live, { words, wrong }) {
  if (live.workers.size === 0 && live.state !== 'live') return 'Asking the agent…';
  if (words) return `No worker fits “${words}”.`;
  if (wrong && live.workers.size > 0) return 'Nothing is wrong.';
  return 'No target is found: start a service with `vitalsd run`, or name one in the configuration.';
}

/** What somebody wants to know before reading anything. */
function summary(workers) {
  const parts = [];
  for (const name of ['down', 'stopped', 'stalled']) {
    const some = workers.filter((row) => row.state === name);
    const longest =
      name === 'stalled' ? ` for up to ${duration(Math.max(...some.map((row) => row.stalled_seconds)))}` : '';
    if (some.length > 0) parts.push(`${many(some.length, 'worker')} ${name}${longest}`);
  }
  return parts.join(', ');
}

function toggle(words, note, on, changed) {
  const button = h('button', { type: 'button', title: note, 'aria-pressed': String(on) }, words);
  button.addEventListener('click', () => {
    const now = button.getAttribute('aria-pressed') !== 'true';
    set(button, 'aria-pressed', String(now));
    changed(now);
  });
  return button;
}
