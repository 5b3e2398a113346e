/*
The last ten minutes of every worker, as this page has seen them: what small charts are drawn from.

Costs 6 KB of each worker, which are taken when it is first seen: a page that is open all night grows by nothing.
*/

import { live } from './live.js';

const STEP = 3000;
const MOST = 200;
const FIGURES = {
  delay,
  busy: (row) => row.busy_share,
  cpu: (row) => row.cpu_share,
  memory: (row) => row.memory_bytes,
};
const trails = new Map();
const times = [];

/** What is known of one figure of a worker, oldest first: null where it was not known. */
export function trailOf(target, worker, figure) {
  const trail = trails.get(`${target}/${worker}`);
  if (trail === undefined) return [];
  return Array.from(trail[figure].subarray(MOST - trail.seen), (value) => (Number.isNaN(value) ? null : value));
}

/** When each of these was seen: milliseconds, of the agent's clock. */
export function timesOf(values) {
  return times.slice(times.length - values.length);
}

/** Collect from now on. */
export function collect() {
  setInterval(look, STEP);
}

/** A stall that lasts longer than the percentile says is the delay of now. */
function delay({ stalled_seconds: stalled, delay_p99_seconds: bounds }) {
  if (bounds === null) return stalled;
  return Math.max(stalled ?? 0, bounds[1] ?? bounds[0]);
}

function look() {
  times.push(live.now());
  if (times.length > MOST) times.shift();
  for (const place of [...trails.keys()]) if (!live.workers.has(place)) trails.delete(place);
  for (const [place, row] of live.workers) {
    if (!trails.has(place)) trails.set(place, begun());
    const trail = trails.get(place);
    trail.seen = Math.min(MOST, trail.seen + 1);
    for (const [name, read] of Object.entries(FIGURES)) {
      trail[name].copyWithin(0, 1);
      trail[name][MOST - 1] = (live.state === 'live' ? read(row) : null) ?? NaN;
    }
  }
}

/** Room for all that will be known of one worker; the latest stands last. */
function begun() {
  return { seen: 0, ...Object.fromEntries(Object.keys(FIGURES).map((name) => [name, new Float64Array(MOST)])) };
}
