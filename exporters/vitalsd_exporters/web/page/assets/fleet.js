/*
Every worker at a glance, below what is wrong in sentences: in groups of their targets, or all in one list.
*/

import { fill, h, set, text } from './dom.js';
import { between, openParts, rankOf, severity, tone, urgency } from './marks.js';
import { grouped, hrefOf, opened, workerRow } from './rows.js';
import { part, shownOf, table } from './table.js';
import { ago, bytes, count, duration, many, plain, share } from './words.js';

const HOUR = 3600;
const MIB = 1024 * 1024;
const SOON = 6 * HOUR;
const MOST_SENTENCES = 4;
const WELL = 3;

/** The fleet, until it is ended. */
export function show(place, params, app) {
  const { live } = app;
  const asked = params.query;
  const wanted = { words: asked.get('q') ?? '', flat: asked.get('flat') === '1', wrong: asked.get('wrong') === '1' };
  const unfolded = new Set();
  app.title('Fleet');

  const box = h('input', {
    ...{ type: 'search', id: 'filter', placeholder: 'Filter: target, worker, state, runtime', autocomplete: 'off' },
    ...{ value: wanted.words, 'aria-label': 'Filter', on: { input: () => change({ words: box.value }) } },
  });
  const flat = toggle('Flat list', 'All workers in one list, without their targets', wanted.flat, (on) => change({ flat: on }));
  const wrong = toggle('Only what is wrong', 'Without workers that are up and have no open incident', wanted.wrong, (on) => change({ wrong: on }));
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
    list.update(wanted.flat ? fitting.map(workerRow) : grouped(fitting, targets, [...live.incidents.values()], open));
    text(told, workers.length === 0 ? '' : shownOf(fitting.length, workers.length, 'worker'));
    text(tally, summary(workers));
    set(tally, 'class', `tally ${workers.some((row) => urgency(row) === 0) ? 'critical' : ''}`);
  }

  let before = '';
  function drawSentences() {
    const open = [...live.incidents.values()].filter((each) => each.state === 'open' && each.severity !== 'info');
    open.sort((a, b) => rankOf(a.severity) - rankOf(b.severity) || b.opened_at.localeCompare(a.opened_at));
    const shown = open.slice(0, MOST_SENTENCES);
    const now = JSON.stringify([open.length, shown.map(({ id, severity: its, summary: said }) => [id, its, said])]);
    if (now === before) return;
    before = now;
    fill(sentences, shown.map((each) => sentence(each)), open.length > shown.length && more(open.length - shown.length));
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

/** The columns of workers and of targets alike. */
function columns(live, fold) {
  const number = (name, title, note, cell, sort, more = {}) => ({ name, title, note, align: 'right', cell, sort, ...more });
  return [
    { name: 'name', title: 'Worker', cell: (row) => named(row, fold), sort: (row) => row.title },
    { name: 'state', title: 'State', cell: (row) => row.parts, sort: (row) => row.urgent },
    { name: 'open', title: 'Incidents', note: 'That are open, by severity', cell: (row) => (row.href ? openParts(row.open) : ''), sort: (row) => opened(row.open) },
    number('delay', 'Delay p99', 'One callback in a hundred waits so long, or longer, in the last minute: the figure lies between these bounds', ({ delay_p99_seconds: its }) => between(its), (row) => row.delay_p99_seconds?.[0] ?? null),
    number('busy', 'Busy', 'Of the time of the busiest loop, in the last minute', ({ busy_share: its }) => barred(its, share(its), ''), (row) => row.busy_share),
    number('cpu', 'CPU', 'Of one processor, in the last minute', (row) => share(row.cpu_share), (row) => row.cpu_share, { wide: true }),
    number('stalls', 'Stalls', 'That have ended in the last minute', (row) => zero(row.stalls), (row) => row.stalls, { wide: true }),
    number('memory', 'Memory', 'Its own, against the limit that is met first', memory, (row) => row.limit_share ?? row.memory_bytes),
    { name: 'forecast', title: 'Forecast', note: 'Where its memory is going', cell: (row) => forecast(row, live.now()), sort: (row) => row.exhausted_at },
    number('restarts', 'Restarts', 'Of this place, since the agent began', (row) => zero(row.restarts), (row) => row.restarts),
    { name: 'since', title: 'Since', wide: true, cell: (row) => (row.since_at ? { text: ago(row.since_at, live.now()), title: row.since_at } : ''), sort: (row) => row.since_at },
    { name: 'what', title: 'Runtime', wide: true, cell: (row) => row.what, sort: (row) => row.what },
  ];
}

function named(row, fold) {
  if (row.sort === 'folded') return { text: `${row.count} more that are well`, press: () => fold(row.target) };
  if (row.sort === 'unfolded') return { text: 'Fold those that are well', press: () => fold(row.target) };
  return { text: row.title, href: row.href };
}

function sentence({ id, severity: its, target, worker, kind, summary: said }) {
  const whom = worker === '' ? plain(target, 60) : `${plain(target, 60)} / ${plain(worker, 20)}`;
  return h(
    'li',
    { class: its },
    part(severity(its)),
    h('a', { class: 'whom', href: hrefOf(target, worker === '' ? null : worker) }, whom),
    h('a', { class: 'said', href: `#/incidents/${encodeURIComponent(id)}`, title: plain(said, 600) }, h('span', { class: 'quiet' }, `${kind} `), plain(said, 300)),
  );
}

function more(n) {
  return h('li', {}, h('a', { href: '#/incidents' }, `and ${many(n, 'more that is open', 'more that are open')}`));
}

function memory(row) {
  const words = row.limit_bytes === null ? bytes(row.memory_bytes) : `${bytes(row.memory_bytes)} / ${bytes(row.limit_bytes)}`;
  const title = row.limit_share === null ? undefined : `${share(row.limit_share)} of the limit is used, by all who share it`;
  return { ...barred(row.limit_share, words, tone(row.limit_share)), title };
}

function barred(value, words, mark) {
  return { text: words, bar: value, mark };
}

/** What is nothing out of the ordinary is not loud. */
function zero(n) {
  return n === 0 || n === null ? { text: count(n), class: 'faint' } : count(n);
}

function forecast({ exhausted_at: at, growth_bytes_per_second: growth }, now) {
  if (at !== null) {
    const left = (Date.parse(at) - now) / 1000;
    return { text: left > 0 ? `full ${ago(at, now)}` : 'full now', class: left < SOON ? 'critical' : 'warning', title: at };
  }
  if (growth === null) return { text: '–', class: 'faint' };
  const hourly = growth * HOUR;
  if (Math.abs(hourly) < MIB) return { text: 'steady', class: 'faint' };
  return { text: `${hourly > 0 ? '+' : ''}${bytes(hourly)}/h`, class: 'quiet' };
}

function fits(row, { words, wrong }) {
  if (wrong && urgency(row) >= WELL) return false;
  const { target, worker, state, runtime, version, pid } = row;
  const told = `${target}/${worker} ${state} ${runtime} ${version ?? ''} ${pid ?? ''}`.toLowerCase();
  return words.toLowerCase().split(/\s+/).every((word) => told.includes(word));
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
  for (const name of ['down', 'stopped', 'stuck']) {
    const some = workers.filter((row) => row.state === name);
    const longest = name === 'stuck' ? ` for up to ${duration(Math.max(...some.map((row) => row.stuck_seconds)))}` : '';
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
