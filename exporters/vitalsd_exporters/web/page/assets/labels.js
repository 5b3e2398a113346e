/*
What the fields of evidence and of summaries are called where people read them, and what their words mean.

The runbook of each kind (docs/incidents) explains them by the names that the JSON has. One that is not listed here is
called by its own name, without the unit.
*/

import { plain } from './words.js';

const LABELS = {
  reason: 'told by',
  began_at: 'began',
  first_seen_at: 'first seen',
  exhausted_at: 'limit met',
  grew: 'grew by',
  grew_share: 'growth, of its level',
  window_seconds: 'over the last',
  held_seconds: 'it lasts',
  floors: 'lows, one after another',
  steadiness: 'steadiness (a step is 1)',
  against: 'compared with',
  bytes_per_second: 'pace',
  per_hour: 'more each hour',
  per_second: 'more each second',
  memory_bytes: 'its own memory',
  peak_bytes: 'most of late',
  left_bytes: 'left to all who share it',
  time_to_limit_seconds: 'meets its limit in',
  live_heap_share: 'of that in use inside',
  lifetimes: 'processes known here',
  live_bytes: 'alive after a full collection',
  used_bytes: 'in use, with garbage',
  collecting_share: 'time that collections take',
  container_left_bytes: 'left to its container',
  used_share: 'used',
  silent_seconds: 'no sign of life for',
  waits_in: 'waits in the kernel at',
  heartbeat_age_seconds: 'heartbeat file untouched for',
  supervisor_timeout_seconds: 'its supervisor waits',
  ended_in_seconds: 'it is ended in',
  within_seconds: 'within',
  by: 'ended by',
  lives_seconds: 'they lived',
  slots: 'workers',
  too_young: 'too young to be compared',
  replaced_by: 'replaced by process',
  replaced_after_seconds: 'replaced after',
  down_seconds: 'its place is empty for',
  workers_up: 'workers that are left',
  exit: 'end',
  group: 'control group',
  group_used_bytes: 'the group used',
  kills: 'processes killed',
  type: 'error',
  usual: 'usual',
  channels: 'by channel',
  seconds_by_generation: 'time, by generation',
  collections_by_generation: 'collections, by generation',
  longest_between_seconds: 'the longest lies between',
  objects_live: 'objects after a full collection',
  p99_seconds: '99th percentile of the delay',
  mean_seconds: 'mean delay',
  busy_share: 'loop busy',
  ready_callbacks: 'callbacks ready, at the fewest',
  queued_least: 'queued, at the fewest',
  queued_most: 'queued, at the most',
  queued_before: 'queued at first',
  busy_shares: 'busy, by worker',
  busy_shares_before: 'busy before, by worker',
  cores: 'processors, by worker',
  missing: 'not proven',
  no_capture_reason: 'not captured',
  longest_seconds: 'the longest',
  held_type: 'type that is kept',
  holders_cut: 'search for holders',
  pause_seconds: 'it held the service for',
  zombies: 'ended children',
  names: 'by name',
  pid: 'process',
  pids: 'processes',
  supervisor_pid: 'process of its supervisor',
  parent_pid: 'process of their parent',
  told_by: 'told by its',
  fair_share: 'a fair share',
  parent_state: 'its parent',
  profiler_cpu_share: 'cost of the profiler, of a core',
  idle_share: 'idle',
  unseen_share: 'time in no sample',
  rate: 'samples a second',
  counted: 'looked at',
  seconds: 'watched for',
  loop_late_seconds: 'its loop was late by',
  cpu_seconds: 'processor time',
  ended: 'how it ended',
  lock_holder: 'has the interpreter lock',
  thread_count: 'threads',
  tracked_seconds: 'tracked for',
  leaked_bytes: 'allocated and kept',
  leaked_allocations: 'allocations kept',
  census_at: 'taken',
  census_share: 'of the memory looked at',
  census_seconds: 'since the one before',
  no_tasks_reason: 'tasks',
  no_samples_reason: 'no samples',
};

/* Names that mean something else in some kinds. */
const LABELS_OF = {
  task_leak: { count: 'tasks' },
  thread_leak: { count: 'threads' },
  fd_leak: { count: 'descriptors' },
  fd_exhaustion: { count: 'descriptors' },
  gc_pressure: { share: 'of its time' },
  heap_exhaustion: { share: 'of its limit' },
  imbalance: { share: 'its share of the work' },
  leak: { pool: 'other workers' },
};

const MEANINGS = {
  proven_by: {
    memory: 'its memory, seen from outside',
    heap: 'the live heap after a full collection',
    blocks: 'the allocated blocks of Python',
  },
  against: {
    level: 'everything before',
    day: 'the same hours of the day before',
    birth: 'the time since it began',
    limit: 'its limit, which is near',
  },
  state: {
    R: 'runs',
    S: 'sleeps',
    D: 'waits in the kernel',
    T: 'stopped by a signal',
    t: 'held by a debugger',
    Z: 'has ended',
    X: 'has ended',
    I: 'is idle',
  },
  shown_by: {
    loop: 'its loop, which does not come back',
    heartbeat: 'its heartbeat file, which it does not touch',
    stopped: 'its state: it is stopped',
    uninterruptible: 'its state: it waits where no signal reaches',
  },
  counted_by: { group: 'its control group', host: 'the whole host: it may have been another process' },
  channel: {
    task: 'tasks whose exception nobody asked for',
    coroutine: 'coroutines that were never awaited',
    loop: 'callbacks of the loop',
    thread: 'threads ended by an exception',
    unraisable: 'exceptions that could not be raised',
    rejection: 'rejected promises that nobody caught',
    exception: 'exceptions that nobody caught',
  },
  counted: {
    interpreter_lock: 'the thread that has the interpreter lock',
    running_threads: 'every thread that runs',
    main_thread: 'the main thread',
  },
};
MEANINGS.parent_state = MEANINGS.state;

/** What a field is called, in a kind of incident. */
export function label(name, kind = '') {
  const own = Object.hasOwn(LABELS_OF, kind) ? LABELS_OF[kind] : {};
  if (Object.hasOwn(own, name)) return own[name];
  return Object.hasOwn(LABELS, name)
    ? LABELS[name]
    : plain(name)
        .replace(/_(seconds|bytes|share|at)$/, '')
        .replaceAll('_', ' ');
}

/** What a word means in that field; undefined where it speaks for itself. */
export function meaning(name, word) {
  const words = Object.hasOwn(MEANINGS, name) ? MEANINGS[name] : {};
  return Object.hasOwn(words, word) ? words[word] : undefined;
}
