/*
The rows of the fleet: each worker by itself, or below its target, where those that are well may be folded into one.
*/

import { state, urgency } from './marks.js';
import { plain } from './words.js';

const SEVERITIES = ['critical', 'warning', 'info'];
const FOLDED_FROM = 4;
/* So many that are well are one row: who is on call looks for the others. */
const WELL = 3;
const LAST = 9;
const OWN = 'vitalsd';
const FROM = { probe: '', observer: '(from outside)', none: '' };

/** One worker as a row. */
export function workerRow(row) {
  return {
    ...row,
    sort: 'worker',
    id: `${row.target}/${row.worker}`,
    title: `${plain(row.target, 60)} / ${plain(row.worker, 20)}`,
    href: hrefOf(row.target, row.worker),
    urgent: urgency(row),
    parts: state(row),
    what: whatOf(row),
  };
}

/** Each target, and below it its workers but those that are folded; one with a single worker is that worker. */
export function grouped(workers, targets, incidents, unfolded) {
  const by = new Map(targets.map((target) => [target.name, []]));
  for (const row of workers) {
    if (!by.has(row.target)) by.set(row.target, []);
    by.get(row.target).push(row);
  }
  const known = new Map(targets.map((target) => [target.name, target]));
  const open = openByTarget(incidents);
  return [...by].flatMap(([name, rows]) => {
    const head = targetRow(name, rows, known.get(name), open.get(name) ?? NOTHING.open);
    const group = (at) => [name === OWN && head.urgent > 0 ? LAST : head.urgent, name, at];
    if (rows.length === 1) return [{ ...workerRow(rows[0]), sort: 'alone', open: head.open, group: group(0) }];
    return [{ ...head, group: group(0) }, ...below(name, rows, unfolded.has(name), group)];
  });
}

/** Where a target or a worker is shown. */
export function hrefOf(target, worker = null) {
  const whom = `#/targets/${encodeURIComponent(target)}`;
  return worker === null ? whom : `${whom}/${encodeURIComponent(worker)}`;
}

/** `python 3.12.4`, and whether its loop is seen from outside. */
export function whatOf({ runtime, version, lag_source: from }) {
  const known = [
    runtime === 'unknown' ? '' : plain(runtime, 20),
    version === null ? '' : plain(version, 20),
    FROM[from],
  ];
  return known.filter(Boolean).join(' ') || '–';
}

function below(name, rows, all, group) {
  const well = rows.filter((row) => urgency(row) >= WELL);
  const folded = !all && well.length >= FOLDED_FROM ? well : [];
  const shown = folded.length > 0 ? rows.filter((row) => urgency(row) < WELL) : rows;
  const told = shown.map((row) => ({
    ...workerRow(row),
    title: plain(row.worker, 20),
    sort: 'worker below',
    group: group(1),
  }));
  if (folded.length > 0)
    told.push({
      ...together(folded),
      sort: 'folded',
      id: `${name}//`,
      target: name,
      urgent: WELL,
      group: group(2),
    });
  else if (all && well.length >= FOLDED_FROM)
    told.push({ ...NOTHING, sort: 'unfolded', id: `${name}//`, target: name, urgent: WELL, group: group(2) });
  return told;
}

const NOTHING = {
  ...{
    href: null,
    title: '',
    what: '',
    count: 0,
    delay_p99_seconds: null,
    busy_share: null,
    cpu_share: null,
    stalls: null,
  },
  ...{
    memory_bytes: null,
    limit_bytes: null,
    limit_share: null,
    growth_bytes_per_second: null,
    exhausted_at: null,
  },
  ...{ restarts: null, since_at: null, open: { critical: 0, warning: 0, info: 0 }, parts: '' },
};

/** Target -> severity -> how many are open of it, those that are nobody's of its workers too. */
function openByTarget(incidents) {
  const open = new Map();
  for (const each of incidents) {
    if (each.state !== 'open') continue;
    if (!open.has(each.target)) open.set(each.target, { ...NOTHING.open });
    open.get(each.target)[each.severity] += 1;
  }
  return open;
}

/** A target as a row: the worst of its workers, or what they have together. */
function targetRow(name, rows, target, open) {
  const itself = open.critical > 0 || target?.up === false ? 0 : open.warning > 0 ? 1 : WELL;
  return {
    ...together(rows),
    sort: 'target',
    id: `${name}/`,
    title: plain(name, 60),
    href: hrefOf(name),
    urgent: Math.min(itself, ...rows.map(urgency)),
    open,
    parts: stateOf(rows),
    what: target?.supervisor ?? '',
  };
}

/** What several workers come to. */
function together(rows) {
  const known = (get) => rows.map(get).filter((value) => value !== null && value !== undefined);
  const worst = (get) => (known(get).length > 0 ? Math.max(...known(get)) : null);
  const sum = (get) => (known(get).length > 0 ? known(get).reduce((a, b) => a + b, 0) : null);
  const delays = known((row) => row.delay_p99_seconds).sort((a, b) => b[0] - a[0]);
  return {
    ...NOTHING,
    count: rows.length,
    delay_p99_seconds: delays[0] ?? null,
    busy_share: worst((row) => row.busy_share),
    cpu_share: sum((row) => row.cpu_share),
    stalls: sum((row) => row.stalls),
    memory_bytes: sum((row) => row.memory_bytes),
    limit_share: worst((row) => row.limit_share),
    exhausted_at: known((row) => row.exhausted_at).sort()[0] ?? null,
    restarts: sum((row) => row.restarts),
  };
}

/** `4 up`, `1 stalled of 4`. */
function stateOf(rows) {
  if (rows.length === 0) return { text: '✕ no worker', class: 'state down' };
  for (const name of ['down', 'stopped', 'stalled']) {
    const some = rows.filter((row) => row.state === name).length;
    if (some > 0) return state({ state: name, words: `${some} ${name} of ${rows.length}` });
  }
  return state({ state: 'up', words: `${rows.filter((row) => row.state === 'up').length} up` });
}

/** How bad what is open is, for sorting: a critical one before any number of warnings. */
export function opened(open) {
  return SEVERITIES.map((name) => -open[name]);
}
