/*
Every worker at a glance, in groups of their targets or all in one: what is wrong comes first.
*/

import { h, set, text } from './dom.js';
import { between, openParts, state, tone, urgency } from './marks.js';
import { shownOf, table } from './table.js';
import { ago, bytes, count, duration, many, plain, share } from './words.js';

const SEVERITIES = ['critical', 'warning', 'info'];
const HOUR = 3600;
const OWN = 'vitalsd';

/** The fleet, until it is ended. */
export function show(place, params, app) {
  const { live } = app;
  const asked = params.query;
  const wanted = { words: asked.get('q') ?? '', flat: asked.get('flat') === '1', wrong: asked.get('wrong') === '1' };
  app.title('Fleet');

  const box = h('input', {
    ...{ type: 'search', id: 'filter', placeholder: 'Filter by target, worker, state, runtime', autocomplete: 'off' },
    ...{ value: wanted.words, 'aria-label': 'Filter', on: { input: () => change({ words: box.value }) } },
  });
  const flat = toggle('Flat', 'All workers in one list, without their targets', wanted.flat, (on) => change({ flat: on }));
  const wrong = toggle('Only what is wrong', 'Workers that are up and have no open incident are left out', wanted.wrong, (on) => change({ wrong: on }));
  const told = h('p', { class: 'told' });
  const tally = h('p', { class: 'tally' });
  const list = table({
    label: 'Workers',
    columns: columns(live),
    key: (row) => row.id,
    open: (row) => app.go(row.href),
    empty: () => nothing(live, wanted),
    order: { name: 'state', down: false },
    group: (row) => (wanted.flat ? 0 : row.group),
    rowClass: (row) => `${row.sort} ${row.urgent === 0 ? 'urgent' : ''}`,
  });
  place.append(
    h('div', { class: 'bar-above' }, h('h1', {}, 'Fleet'), tally, h('div', { class: 'tools' }, told, box, flat, wrong)),
    list.element,
  );

  function change(its) {
    Object.assign(wanted, its);
    const query = new URLSearchParams();
    if (wanted.words) query.set('q', wanted.words);
    if (wanted.flat) query.set('flat', '1');
    if (wanted.wrong) query.set('wrong', '1');
    history.replaceState(null, '', `#/${query.size > 0 ? `?${query}` : ''}`);
    draw();
  }

  function draw() {
    const workers = [...live.workers.values()];
    const fitting = workers.filter((row) => fits(row, wanted));
    list.update(wanted.flat ? fitting.map(workerRow) : grouped(fitting, live, wanted));
    text(told, live.state === 'connecting' && workers.length === 0 ? '' : shownOf(fitting.length, workers.length, 'worker'));
    text(tally, summary(workers));
    set(tally, 'class', `tally ${workers.some((row) => urgency(row) === 0) ? 'critical' : ''}`);
  }

  const offs = [live.on('workers', draw), live.on('incidents', draw), live.on('state', draw)];
  draw();
  return () => {
    offs.forEach((off) => off());
    list.end();
  };
}

/** The columns of workers and of targets alike. */
function columns(live) {
  return [
    { name: 'name', title: 'Worker', cell: (row) => ({ text: row.title, href: row.href, class: row.sort }), sort: (row) => row.title },
    { name: 'state', title: 'State', cell: (row) => row.state_parts, sort: (row) => [row.urgent, row.title] },
    { name: 'open', title: 'Incidents', note: 'That are open, by severity', cell: (row) => openParts(row.open), sort: (row) => SEVERITIES.map((name) => -row.open[name]) },
    right('delay', 'Delay p99', 'What one callback in a hundred waits at least, in the last minute: it lies between these bounds', (row) => between(row.delay_p99_seconds), (row) => row.delay_p99_seconds),
    { name: 'busy', title: 'Busy', note: 'Of the time of the busiest loop, in the last minute', align: 'right', cell: (row) => barred(row.busy_share, share(row.busy_share)), sort: (row) => row.busy_share },
    { name: 'cpu', title: 'CPU', note: 'Of one processor, in the last minute', align: 'right', wide: true, cell: (row) => share(row.cpu_share), sort: (row) => row.cpu_share },
    { name: 'stalls', title: 'Stalls', note: 'That have ended in the last minute', align: 'right', wide: true, cell: (row) => count(row.stalls), sort: (row) => row.stalls },
    { name: 'memory', title: 'Memory', note: 'Its own, against the limit that is met first', align: 'right', cell: memory, sort: (row) => row.limit_share ?? row.memory_bytes },
    { name: 'forecast', title: 'Forecast', note: 'Where its memory is going', cell: (row) => forecast(row, live.now()), sort: (row) => row.exhausted_at },
    { name: 'restarts', title: 'Restarts', align: 'right', cell: (row) => count(row.restarts), sort: (row) => row.restarts },
    { name: 'since', title: 'Since', wide: true, cell: (row) => (row.since_at ? { text: ago(row.since_at, live.now()), title: row.since_at } : '–'), sort: (row) => row.since_at },
    { name: 'runtime', title: 'Runtime', wide: true, cell: (row) => row.what, sort: (row) => row.what },
  ];
}

function right(name, title, note, cell, sort) {
  return { name, title, note, align: 'right', cell, sort };
}

/** One worker as a row. */
function workerRow(row) {
  return {
    ...row,
    sort: 'worker',
    id: `${row.target}/${row.worker}`,
    title: `${plain(row.target, 60)} / ${plain(row.worker, 20)}`,
    href: `#/targets/${encodeURIComponent(row.target)}/${encodeURIComponent(row.worker)}`,
    urgent: urgency(row),
    state_parts: state(row),
    what: [row.runtime === 'unknown' ? '' : row.runtime, row.version ?? '', { probe: '', observer: '(from outside)', none: '' }[row.lag_source] ?? ''].filter(Boolean).join(' ') || '–',
  };
}

/** Each target, and below it its workers; one that has a single worker is that worker. */
function grouped(workers, live, wanted) {
  const by = new Map();
  for (const row of workers) {
    if (!by.has(row.target)) by.set(row.target, []);
    by.get(row.target).push(row);
  }
  if (wanted.words === '' && !wanted.wrong) for (const target of live.targets) if (!by.has(target.name)) by.set(target.name, []);
  const known = new Map(live.targets.map((target) => [target.name, target]));
  return [...by].flatMap(([name, rows]) => {
    const head = targetRow(name, rows, known.get(name), live);
    const group = (at) => [name === OWN ? 9 : head.urgent, name, at];
    if (rows.length === 1) return [{ ...workerRow(rows[0]), sort: 'alone', open: head.open, group: group(0) }];
    const below = rows.map((row) => ({ ...workerRow(row), title: plain(row.worker, 20), sort: 'worker below', group: group(1) }));
    return [{ ...head, group: group(0) }, ...below];
  });
}

/** A target as a row: the worst of its workers, or what they have together. */
function targetRow(name, rows, target, live) {
  const open = { critical: 0, warning: 0, info: 0 };
  for (const each of live.incidents.values()) if (each.state === 'open' && each.target === name) open[each.severity] += 1;
  const urgent = Math.min(3, ...rows.map(urgency), open.critical > 0 ? 0 : open.warning > 0 ? 1 : 3, target?.up === false ? 0 : 3);
  const worst = (get) => rows.map(get).filter((value) => value !== null).reduce((a, b) => (a === null || b > a ? b : a), null);
  const sum = (get) => (rows.some((row) => get(row) !== null) ? rows.reduce((total, row) => total + (get(row) ?? 0), 0) : null);
  return {
    sort: 'target',
    id: `${name}/`,
    title: plain(name, 60),
    href: `#/targets/${encodeURIComponent(name)}`,
    urgent,
    open,
    state_parts: stateOf(rows),
    delay_p99_seconds: rows.map((row) => row.delay_p99_seconds).filter(Boolean).reduce((a, b) => (a === null || b[0] > a[0] ? b : a), null),
    busy_share: worst((row) => row.busy_share),
    cpu_share: sum((row) => row.cpu_share),
    stalls: sum((row) => row.stalls),
    memory_bytes: sum((row) => row.memory_bytes),
    limit_bytes: null,
    limit_share: worst((row) => row.limit_share),
    growth_bytes_per_second: null,
    exhausted_at: rows.map((row) => row.exhausted_at).filter(Boolean).sort()[0] ?? null,
    restarts: sum((row) => row.restarts) ?? 0,
    since_at: null,
    what: target?.supervisor ?? '–',
  };
}

/** `4 up`, `■ 1 stuck of 4`. */
function stateOf(rows) {
  if (rows.length === 0) return { text: '✕ no worker', class: 'state down' };
  for (const name of ['down', 'stopped', 'stuck']) {
    const some = rows.filter((row) => row.state === name);
    if (some.length > 0) return { ...state(some[0]), text: `${state({ state: name, stuck_seconds: null }).text.split(' ')[0]} ${some.length} ${name} of ${rows.length}` };
  }
  const up = rows.filter((row) => row.state === 'up').length;
  return { text: `● ${up} up`, class: 'state up' };
}

function memory(row) {
  const words = row.limit_bytes === null ? bytes(row.memory_bytes) : `${bytes(row.memory_bytes)} / ${bytes(row.limit_bytes)}`;
  const title = row.limit_share === null ? undefined : `${share(row.limit_share)} of the limit is used, by all who share it`;
  return { ...barred(row.limit_share, words), title };
}

function barred(value, words) {
  return { text: words, bar: value, mark: tone(value) };
}

function forecast(row, now) {
  if (row.exhausted_at !== null) {
    const left = (Date.parse(row.exhausted_at) - now) / 1000;
    return { text: left > 0 ? `full ${ago(row.exhausted_at, now)}` : 'full now', class: left < 6 * HOUR ? 'critical' : 'warning', title: row.exhausted_at };
  }
  const growth = row.growth_bytes_per_second;
  if (growth === null) return { text: '–', class: 'quiet' };
  const hourly = growth * HOUR;
  if (Math.abs(hourly) < 1024 * 1024) return { text: 'steady', class: 'quiet' };
  return { text: `${hourly > 0 ? '+' : ''}${bytes(hourly)}/h`, class: 'quiet' };
}

function fits(row, { words, wrong }) {
  if (wrong && urgency(row) >= 3) return false;
  const told = `${row.target}/${row.worker} ${row.target} ${row.worker} ${row.state} ${row.runtime} ${row.version ?? ''} ${row.pid ?? ''}`.toLowerCase();
  return words.toLowerCase().split(/\s+/).every((word) => told.includes(word));
}

function nothing(live, { words, wrong }) {
  if (live.state === 'connecting') return 'Asking the agent…';
  if (words) return `No worker fits “${words}”.`;
  if (wrong && live.workers.size > 0) return 'Nothing is wrong.';
  return 'No target is found: start a service with `vitalsd run`, or name one in the configuration.';
}

/** What somebody wants to know before reading anything. */
function summary(workers) {
  const parts = [];
  for (const name of ['down', 'stopped', 'stuck']) {
    const some = workers.filter((row) => row.state === name);
    if (some.length > 0) parts.push(`${many(some.length, 'worker')} ${name}${name === 'stuck' ? ` (longest ${duration(Math.max(...some.map((row) => row.stuck_seconds)))})` : ''}`);
  }
  return parts.join(', ');
}

function toggle(words, note, on, changed) {
  const button = h('button', { type: 'button', class: 'toggle', title: note, 'aria-pressed': String(on) }, words);
  button.addEventListener('click', () => {
    const now = button.getAttribute('aria-pressed') !== 'true';
    set(button, 'aria-pressed', String(now));
    changed(now);
  });
  return button;
}
