/*
One target or one worker of it: how it is now, what is known of its past, and what was found of it.

What is not in the stream is asked for every five seconds, while somebody looks.
*/

import { captureButton } from './ask.js';
import { columns } from './columns.js';
import { fill, h, section, text } from './dom.js';
import { exitsOf, factsOf, missingOf, targetFacts } from './facts.js';
import { capturesTable, incidentsTable } from './found.js';
import { openParts, state } from './marks.js';
import { hrefOf, workerRow } from './rows.js';
import { part, table } from './table.js';
import { plain } from './words.js';
import { workerParts } from './worker.js';

const EVERY = 5000;

/** The target `name`, or its worker `slot`, until it is ended. */
export function show(place, { name, slot }, app) {
  const { live } = app;
  const ofWorker = slot !== null;
  app.title(ofWorker ? `${plain(name, 60)} / ${plain(slot, 20)}` : plain(name, 60));
  place.classList.add('long');

  const marks = h('span', { class: 'marks' });
  const told = h('p', { class: 'quiet' });
  const below = h('div', { class: 'stack' });
  const parts = ofWorker ? workerParts(name, slot, app) : pool(name, app);
  const incidents = incidentsTable(app, (each) => fits(each, name, slot));
  const captures = capturesTable(app, (each) => fits(each, name, slot));
  const ends = [parts.end, incidents.end, captures.end];

  fill(
    place,
    h(
      'div',
      { class: 'bar-above' },
      crumbs(name, slot),
      marks,
      h('div', { class: 'tools' }, captureButton(app, { target: name, worker: slot }, 'Ask for a capture')),
    ),
    told,
    parts.element,
    section('Incidents', 'open, and of late', incidents.element),
    parts.more,
    section('Captures', '', captures.element),
    below,
  );

  function drawMarks() {
    const row = live.workers.get(`${name}/${slot}`);
    const open = { critical: 0, warning: 0, info: 0 };
    for (const each of live.incidents.values())
      if (each.state === 'open' && fits(each, name, slot)) open[each.severity] += 1;
    fill(
      marks,
      row && part(state(row)),
      openParts(open)
        .filter((each) => each.class !== 'faint')
        .map(part),
    );
  }

  let failed = false;
  async function ask() {
    try {
      const detail = await app.api.get(`/api/v1/targets/${encodeURIComponent(name)}`);
      const worker = detail.workers.find((each) => each.slot === slot) ?? null;
      if (ofWorker && worker === null)
        throw new Error(`No worker of ${plain(name, 60)} has the place ${plain(slot, 20)} now.`);
      failed = false;
      text(told, headline(detail, worker));
      told.className = 'quiet';
      parts.take?.(detail, worker);
      fill(
        below,
        ofWorker ? factsOf(detail, worker, live.now()) : targetFacts(detail),
        exitsOf(detail, slot, live.now()),
        missingOf(detail, slot),
      );
    } catch (error) {
      if (failed || live.state !== 'live') return; // said already, here or by the shell
      failed = true;
      told.className = 'error';
      text(told, `${plain(error.message, 300)} ${below.hasChildNodes() ? 'What is shown was so before.' : ''}`);
    }
  }

  const asking = setInterval(() => document.hidden || ask(), EVERY);
  const offs = [live.on('workers', drawMarks), live.on('incidents', drawMarks), live.on('state', ask)];
  drawMarks();
  ask();
  return () => {
    clearInterval(asking);
    offs.forEach((off) => off());
    ends.forEach((end) => end());
  };
}

/** The workers of a target, each with its link. */
function pool(name, app) {
  const { live } = app;
  const list = table({
    label: `Workers of ${plain(name, 60)}`,
    columns: columns(live, () => {}),
    key: (row) => row.id,
    open: (row) => app.go(row.href),
    empty: () => (live.state === 'connecting' ? 'Asking the agent…' : 'It has no worker.'),
    order: { name: 'name', down: false },
    rowClass: (row) => `worker ${row.urgent === 0 ? 'urgent' : ''}`,
  });
  list.element.classList.add('short');
  const draw = () =>
    list.update(
      [...live.workers.values()]
        .filter((row) => row.target === name)
        .map((row) => ({ ...workerRow(row), title: plain(row.worker, 20) })),
    );
  const offs = [live.on('workers', draw), live.on('state', draw)];
  draw();
  return {
    element: section('Workers', '', list.element),
    end: () => [...offs, list.end].forEach((end) => end()),
  };
}

/** Whether an incident or a capture belongs here; what is a whole target's belongs to each of its workers. */
function fits(each, name, slot) {
  return each.target === name && (slot === null || each.worker === slot || each.worker === '');
}

function headline({ supervisor, up, workers }, worker) {
  if (worker !== null) return plain(worker.command, 300);
  const running = workers.filter((each) => each.up).length;
  const whose =
    supervisor === null
      ? ''
      : `, under ${supervisor.kind === 'plain' ? 'a parent process' : plain(supervisor.kind)} (pid ${supervisor.key.pid})`;
  return `${up ? 'Up' : 'Down'}: ${running} of ${workers.length} workers run${whose}.`;
}

function crumbs(name, slot) {
  const own = h('h1', {}, slot === null ? plain(name, 100) : `worker ${plain(slot, 20)}`);
  const way = [
    h('a', { href: '#/' }, 'Fleet'),
    '/',
    slot !== null && [h('a', { href: hrefOf(name) }, plain(name, 60)), '/'],
  ];
  return h('div', { class: 'crumbs' }, way, own);
}
