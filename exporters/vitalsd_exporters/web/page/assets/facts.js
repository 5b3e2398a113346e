/*
What else is known of a worker or a target, as words and figures; and what is not, with what to do about it.
*/

import { h, section } from './dom.js';
import { ago, bytes, clock, count, duration, many, plain, share } from './words.js';

const LIMITS = { group: 'of its control group', address_space: 'RLIMIT_AS', data: 'RLIMIT_DATA' };
const MOST_EXITS = 12;
const KERNEL = {
  R: 'runs',
  S: 'sleeps',
  D: 'waits in the kernel',
  T: 'stopped',
  t: 'traced',
  Z: 'has ended',
  X: 'gone',
  I: 'idle',
};
/* The kernel's letters. */

/** Cards of facts about one worker. */
export function factsOf(target, worker, now) {
  const { process, probe, memory, cpu, pulse } = worker;
  const group = memory?.group;
  return h(
    'div',
    { class: 'cards' },
    card('Process', [
      ['Process', worker.key === null ? 'nobody sits here' : `pid ${worker.key.pid}`],
      ['Began', process && `${ago(process.started_at, now)}, ${clock(process.started_at, now)}`],
      ['Runs', probe && `${plain(probe.runtime, 20)} ${plain(probe.version, 40)}`],
      [
        'Seen by',
        { probe: 'its probe', observer: 'the observer, from outside', none: 'nobody: only /proc is read' }[
          worker.lag_source
        ],
      ],
      [
        'State',
        pulse &&
          `${KERNEL[pulse.state] ?? plain(pulse.state)}${pulse.heartbeat_at ? `, last sign of life ${ago(pulse.heartbeat_at, now)}` : ''}`,
      ],
      ['Container', worker.container && containerOf(worker.container)],
      ['Share of its pool', worker.share === null ? null : share(worker.share)],
      ['CPU time', process && duration(process.cpu_seconds)],
      ['Waited for a processor', cpu && known(cpu.runqueue_seconds, duration)],
      ['Out of quota', cpu && known(cpu.throttled_seconds, duration)],
    ]),
    card('Memory', [
      ['Resident', process && known(process.resident_bytes, bytes)],
      ['Its own', process && known(process.anonymous_bytes, bytes)],
      ['Swapped out', process && known(process.swap_bytes, bytes)],
      ['Proportional (PSS)', memory && known(memory.proportional_bytes, bytes)],
      [
        'Limit',
        memory && memory.limit_bytes !== null && `${bytes(memory.limit_bytes)} ${LIMITS[memory.limit_kind] ?? ''}`,
      ],
      ['Group', group && plain(group.name, 120)],
      ['Group uses', group && known(group.used_bytes, bytes)],
      ['Left of its limit', group && known(group.left_bytes, bytes)],
      ['Killed for memory', group && known(group.oom_kills, count)],
    ]),
    card('Inside', [
      ['Heap in use', probe && known(probe.heap_used_bytes, bytes)],
      ['Heap that lives', probe && known(probe.heap_live_bytes, bytes)],
      ['Heap limit', probe && known(probe.heap_limit_bytes, bytes)],
      ['Outside the heap', probe && known(probe.external_bytes, bytes)],
      [
        'malloc',
        probe &&
          probe.malloc_used_bytes !== null &&
          `${bytes(probe.malloc_used_bytes)} of ${bytes(probe.malloc_held_bytes)} held`,
      ],
      ['Tasks', probe && known(probe.tasks, count)],
      ['Threads', process && count(process.threads)],
      [
        'Descriptors',
        process && process.open_fds !== null && `${count(process.open_fds)} of ${count(process.max_fds)}`,
      ],
      [
        'Executor',
        probe &&
          probe.executor_threads !== null &&
          `${count(probe.executor_busy)} of ${count(probe.executor_threads)} busy, ${count(probe.executor_queued)} queued`,
      ],
      ['The probe has cost', probe && known(probe.probe_cpu_seconds, duration)],
    ]),
  );
}

/* Its names where the node tells them, else the beginning of its id. */
function containerOf({ id, pod, namespace, container }) {
  if (pod === null) return plain((id ?? '').slice(0, 12), 12);
  return [container ?? (id ?? '').slice(0, 12), `pod ${pod}`, namespace].map((each) => plain(each, 80)).join(', ');
}

/** A card of facts about a target. */
export function targetFacts({ supervisor, memory, remedy, zombie_count: zombies, zombies: shown }) {
  const asked = supervisor?.workers ?? null;
  return h(
    'div',
    { class: 'cards' },
    card('Supervisor', [
      [
        'Kind',
        supervisor
          ? `${plain(supervisor.kind)}${supervisor.worker_class ? ` (${plain(supervisor.worker_class, 60)})` : ''}`
          : 'none: its worker stands alone',
      ],
      ['Process', supervisor && `pid ${supervisor.key.pid}`],
      ['Command', supervisor && plain(supervisor.command, 200)],
      ['Workers asked for', asked === null ? null : count(asked)],
      [
        'Ends a silent worker',
        supervisor && known(supervisor.timeout_seconds, (seconds) => `after ${duration(seconds)}`),
      ],
    ]),
    card('Memory together', [
      ['Proportional (PSS)', known(memory.proportional_bytes, bytes)],
      ['Unshared (USS)', known(memory.unique_bytes, bytes)],
      ['Known of', many(memory.workers_known, 'worker')],
    ]),
    card('Remedy', [
      [
        'State',
        remedy.state === remedy.mode ? plain(remedy.state) : `${plain(remedy.state)} (mode ${plain(remedy.mode)})`,
      ],
      ['Why', remedy.reason ? plain(remedy.reason, 300) : null],
      [
        'Children that nobody fetches',
        zombies > 0 ? `${count(zombies)}, the first is ${plain(shown[0]?.name, 40)}` : null,
      ],
    ]),
  );
}

/** How workers of this place have ended lately. */
export function exitsOf({ exits }, slot, now) {
  const its = exits
    .filter((each) => slot === null || each.slot === slot)
    .slice(-MOST_EXITS)
    .reverse();
  if (its.length === 0) return null;
  const items = its.map((each) =>
    h(
      'li',
      {},
      h(
        'span',
        { class: `mark ${['graceful', 'recycled'].includes(each.reason) ? 'plain' : 'critical'}` },
        plain(each.reason),
      ),
      ' ',
      h('strong', {}, each.slot === '' ? 'supervisor' : `worker ${plain(each.slot, 20)}`),
      ` pid ${each.key.pid}, ${ago(each.ended_at, now)} (${clock(each.ended_at, now)}), `,
      each.lived_seconds === null ? '' : `after ${duration(each.lived_seconds)}, `,
      plain(each.evidence, 300),
    ),
  );
  return section(
    'Ends',
    'of the last ten minutes, and of whom nobody has followed',
    h('div', { class: 'card' }, h('ul', { class: 'list' }, items)),
  );
}

/** What could not be read, and what to do: each sentence once. */
export function missingOf({ workers }, slot) {
  const reasons = new Map();
  for (const worker of workers) {
    if (slot !== null && worker.slot !== slot) continue;
    for (const [field, why] of Object.entries(worker.missing))
      reasons.set(why, (reasons.get(why) ?? new Set()).add(field));
  }
  if (reasons.size === 0) return null;
  const items = [...reasons].map(([why, fields]) =>
    h('li', {}, h('code', {}, plain([...fields].join(', '), 200)), ' ', plain(why, 500)),
  );
  return section(
    'What is missing',
    'and what was in the way',
    h('div', { class: 'card' }, h('ul', { class: 'list' }, items)),
  );
}

function card(title, facts) {
  const rows = facts.filter(([, told]) => told !== null && told !== undefined && told !== false && told !== '–');
  const told =
    rows.length > 0
      ? h(
          'dl',
          { class: 'facts' },
          rows.map(([name, value]) => [h('dt', {}, name), h('dd', {}, value)]),
        )
      : h('p', { class: 'hint' }, 'Nothing is known.');
  return h('section', { class: 'card', 'aria-label': title }, h('h2', {}, title), told);
}

/** Nothing where it is not known: a card has no row for that. */
function known(value, words) {
  return value === null || value === undefined ? null : words(value);
}
