'use strict';
/* What each kind of capture asks of V8, in the thread that takes it. */

const { monotonic } = require('./clock');
const { control } = require('./layout.json');

const LEAST_MICROSECONDS = 100;
const LEAST_SAMPLE_BYTES = 1024;
const MOST_MS = 3600e3;
/** To stop a profiler V8 makes all of the profile. */
const STOP_SECONDS = 30;
const SNAPSHOT_SECONDS = 100;
/** Of the time in which allocations are sampled: for so long what is told must have been kept. */
const SETTLING = 1 / 3;

const bounded = (milliseconds) => Math.min(MOST_MS, milliseconds);

/** Where the time of the main thread goes: a `.cpuprofile`. */
async function cpu(capturer, { milliseconds, budget }) {
  await capturer.ask('Profiler.enable');
  const interval = Math.max(LEAST_MICROSECONDS, Math.min(1e6, budget));
  await capturer.ask('Profiler.setSamplingInterval', { interval });
  await capturer.ask('Profiler.start', {}, { held: true });
  capturer.begin();
  await capturer.rest(bounded(milliseconds));
  const { profile } = await capturer.ask('Profiler.stop', {}, { held: true, seconds: STOP_SECONDS });
  sendJson(capturer, profile, ['nodes', 'samples', 'timeDeltas']);
}

/**
 * What is allocated meanwhile and still there in the end, by the function that has: a `.heapprofile`.
 *
 * The youngest of it is garbage that nobody has collected yet, up to some 30 MB. So the last sample of the first
 * SETTLING is told, and how often the heap was collected since: what is older and still there is kept by somebody.
 */
async function allocations(capturer, { milliseconds, budget }) {
  // There is one such profiler for all: what somebody else has begun is theirs, and would end with ours.
  const others = await capturer.ask('HeapProfiler.getSamplingProfile').catch(() => null);
  if (others !== null) capturer.refuse('somebody else is sampling the allocations of this process');
  const samplingInterval = Math.max(LEAST_SAMPLE_BYTES, Math.min(2 ** 30, budget));
  await capturer.ask('HeapProfiler.startSampling', { samplingInterval }, { held: true });
  capturer.begin();
  const all = bounded(milliseconds);
  if (await capturer.rest(all * (1 - SETTLING))) {
    const young = await capturer.ask('HeapProfiler.getSamplingProfile', {}, { held: true, seconds: STOP_SECONDS });
    const collections = capturer.collections;
    const began = monotonic();
    await capturer.rest(all * SETTLING);
    capturer.note('newest', young.profile.samples.reduce((newest, sample) => Math.max(newest, sample.ordinal), 0));
    capturer.note('collections', capturer.collections - collections);
    capturer.note('settled_ms', Math.round((monotonic() - began) * 1e3));
  }
  const { profile } = await capturer.ask('HeapProfiler.stopSampling', {}, { held: true, seconds: STOP_SECONDS });
  sendJson(capturer, profile, ['samples']);
}

/** All that lives: a `.heapsnapshot`, in the pieces that V8 makes of it. */
async function snapshot(capturer, { budget }) {
  let bytes = 0;
  let over = false;
  capturer.on('HeapProfiler.addHeapSnapshotChunk', ({ chunk }) => {
    if (over) return;
    bytes += chunk.length;
    try {
      if (bytes > budget) capturer.fail(`it is larger than the ${budget >> 20} MiB that there is room for`);
      capturer.send(chunk, 'latin1');
    } catch {
      over = true;
    }
  });
  capturer.begin();
  const how = { held: true, later: true, seconds: SNAPSHOT_SECONDS };
  await capturer.ask('HeapProfiler.takeHeapSnapshot', { reportProgress: false }, how);
}

/** The long lists of it piece by piece, so that the text is never whole. */
function sendJson(capturer, document, lists) {
  const rest = Object.entries(document).filter(([name]) => !lists.includes(name));
  capturer.send('{');
  for (const [name, value] of rest) capturer.send(`${JSON.stringify(name)}:${JSON.stringify(value)},\n`);
  const left = lists.filter((name) => Array.isArray(document[name]));
  left.forEach((name, index) => {
    capturer.send(`${JSON.stringify(name)}:[`);
    for (let at = 0; at < document[name].length; at += 1000) {
      const text = JSON.stringify(document[name].slice(at, at + 1000)).slice(1, -1);
      capturer.send(at === 0 ? text : `,\n${text}`);
    }
    capturer.send(index === left.length - 1 ? ']' : '],\n');
  });
  capturer.send('}\n');
}

const KINDS = { [control.CPU]: cpu, [control.ALLOCATIONS]: allocations, [control.SNAPSHOT]: snapshot };

module.exports = { KINDS };
