/*
What was found of a target or a worker: its incidents and its captures as short tables.
*/

import { h } from './dom.js';
import { rankOf, severity } from './marks.js';
import { table } from './table.js';
import { ago, bytes, clock, duration, spoken } from './words.js';

const MARKS = {
  done: 'good',
  running: 'busy',
  waiting: 'busy',
  stopping: 'busy',
  failed: 'critical',
  refused: 'warning',
  cancelled: 'plain',
};

/** Incidents that `wanted` says yes to, those that are open first. */
export function incidentsTable(app, wanted) {
  const { live } = app;
  const when = (each) => ({ text: ago(each.opened_at, live.now()), title: clock(each.opened_at, live.now()) });
  return kept(
    app,
    'incidents',
    {
      label: 'Incidents',
      columns: [
        {
          name: 'severity',
          title: 'Severity',
          cell: (each) =>
            each.state === 'open' ? severity(each.severity) : { text: 'resolved', class: 'mark plain' },
          sort: (each) => [each.state === 'open' ? 0 : 1, rankOf(each.severity)],
        },
        {
          name: 'kind',
          title: 'Kind',
          cell: (each) => ({ text: each.kind, href: `#/incidents/${encodeURIComponent(each.id)}` }),
          sort: (each) => each.kind,
        },
        {
          name: 'said',
          title: 'What',
          cell: (each) => ({ text: spoken(each.summary), title: spoken(each.summary, 600) }),
          grow: true,
        },
        { name: 'opened', title: 'Opened', align: 'right', cell: when, sort: (each) => each.opened_at },
      ],
      empty: () => (live.state === 'connecting' ? 'Asking the agent…' : 'Nothing was found lately.'),
      open: (each) => app.go(`#/incidents/${encodeURIComponent(each.id)}`),
      order: { name: 'severity', down: false },
    },
    wanted,
    (a, b) => b.opened_at.localeCompare(a.opened_at),
  );
}

/** Captures that `wanted` says yes to, the latest first. */
export function capturesTable(app, wanted) {
  const { live } = app;
  return kept(
    app,
    'captures',
    {
      label: 'Captures',
      columns: [
        {
          name: 'state',
          title: 'State',
          cell: (each) => ({
            text: each.state,
            class: `mark ${MARKS[each.state] ?? 'plain'}`,
            bar: each.state === 'running' ? each.progress : null,
          }),
          sort: (each) => each.state,
        },
        {
          name: 'kind',
          title: 'Kind',
          cell: (each) => ({ text: each.kind, href: `#/captures/${encodeURIComponent(each.id)}` }),
          sort: (each) => each.kind,
        },
        {
          name: 'why',
          title: 'Why',
          cell: (each) => {
            const told = spoken(each.problem ?? each.waits_for ?? each.reason);
            return { text: told, title: told };
          },
          grow: true,
        },
        {
          name: 'files',
          title: 'Files',
          align: 'right',
          cell: (each) =>
            each.artifacts.length > 0 ? bytes(each.artifacts.reduce((sum, one) => sum + one.size_bytes, 0)) : '–',
          sort: (each) => each.artifacts.length,
        },
        {
          name: 'pause',
          title: 'Pause',
          note: 'For how long it has held the service at a time',
          align: 'right',
          cell: (each) => duration(each.pause_seconds),
          sort: (each) => each.pause_seconds,
        },
        {
          name: 'asked',
          title: 'Asked',
          align: 'right',
          cell: (each) => ({ text: ago(each.asked_at, live.now()), title: clock(each.asked_at, live.now()) }),
          sort: (each) => each.asked_at,
        },
      ],
      empty: () => (live.state === 'connecting' ? 'Asking the agent…' : 'None was taken.'),
      open: (each) => app.go(`#/captures/${encodeURIComponent(each.id)}`),
      order: { name: 'asked', down: true },
    },
    wanted,
    (a, b) => b.asked_at.localeCompare(a.asked_at),
  );
}

/** A table that follows a topic of the stream. */
function kept({ live }, topic, what, wanted, before) {
  const list = table({ key: (each) => each.id, ...what });
  list.element.classList.add('short');
  const draw = () => list.update([...live[topic].values()].filter(wanted).sort(before));
  const offs = [live.on(topic, draw), live.on('state', draw)];
  draw();
  return { element: h('div', {}, list.element), end: () => [...offs, list.end].forEach((end) => end()) };
}
