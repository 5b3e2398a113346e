/*
The last ten minutes of every worker, as this page has seen them: what small charts are drawn from.

Costs four numbers a worker and three seconds, 6 KB of each.
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
  return trails.get(`${target}/${worker}`)?.[figure] ?? [];
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
    if (!trails.has(place)) trails.set(place, Object.fromEntries(Object.keys(FIGURES).map((name) => [name, []])));
    const trail = trails.get(place);
    for (const [name, read] of Object.entries(FIGURES)) {
      trail[name].push(live.state === 'live' ? read(row) : null);
      if (trail[name].length > MOST) trail[name].shift();
    }
  }
}
