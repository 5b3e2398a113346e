/* What V8 writes: CPU profiles (`.cpuprofile`) and sampling heap profiles (`.heapprofile`), of Node and of browsers. */

import { book, listOf, numberOf, Paths, Places, profile, textOf, Unreadable } from './form.js';

const ROOT = '(root)';
const IDLE = '(idle)';

/** Whether a document is a CPU profile. */
export const isCpuProfile = (document) => Array.isArray(document.nodes);

/** Whether a document is a sampling heap profile. */
export const isHeapProfile = (document) => typeof document.head === 'object' && document.head !== null;

/** Where the time of a thread goes; while its loop waits nothing runs. */
export function readCpuProfile(document) {
  const found = document.nodes.filter((node) => typeof node === 'object' && node !== null);
  const nodes = new Map(found.map((node) => [node.id, node]));
  if (nodes.size === 0) throw new Unreadable('There is no call in this profile.');
  const places = new Places();
  const paths = new Paths();
  const pathOf = grow(nodes, (node) => {
    const { functionName } = node.callFrame ?? {};
    return functionName === ROOT || functionName === IDLE ? null : placeOf(places, node.callFrame, seenAt(node));
  }, paths);
  const samples = Array.isArray(document.samples) && document.samples.length > 0 ? timed(document) : hits(document);
  const known = Int32Array.from(samples.nodes, (id) => {
    const path = pathOf.get(id);
    if (path !== undefined) return path;
    throw new Unreadable(`A sample of this profile is of call ${JSON.stringify(id)}, which is not in it.`);
  });
  const { unit, weights, inTime } = samples;
  return book([profile({ name: 'Main thread', unit, places, paths, samples: known, weights, inTime })]);
}

/** The paths of all calls: every call is reached from one that nobody calls, and once. */
function grow(nodes, place, paths) {
  const called = new Set();
  const calls = new Map();
  for (const node of nodes.values()) {
    const children = Array.isArray(node.children) ? node.children : [];
    for (const child of children) called.add(child);
    calls.set(node.id, [...children]);
  }
  for (const { id, parent } of nodes.values()) {
    if (parent === undefined || called.has(id)) continue;
    calls.get(parent)?.push(id);
    called.add(id);
  }
  const pathOf = new Map();
  const waiting = [...nodes.keys()].filter((id) => !called.has(id)).map((id) => [id, 0]);
  while (waiting.length > 0) {
    const [id, from] = waiting.pop();
    const node = nodes.get(id);
    if (node === undefined || pathOf.has(id)) continue;
    const at = place(node);
    const path = at === null ? from : paths.into(from, at);
    pathOf.set(id, path);
    for (const child of calls.get(id)) waiting.push([child, path]);
  }
  return pathOf;
}

/** A sample is what ran from then on until the next one; times are in microseconds. */
function timed(document) {
  const nodes = document.samples;
  const deltas = listOf(document.timeDeltas, 'The list of times of this profile');
  const weights = new Float64Array(nodes.length);
  let at = numberOf(document.startTime, 'The begin of this profile');
  for (let index = 0; index < nodes.length; index += 1) {
    const delta = Math.max(0, numberOf(deltas[index], 'A time of this profile'));
    if (index > 0) weights[index - 1] = delta / 1e6;
    at += delta;
  }
  const end = numberOf(document.endTime, 'The end of this profile');
  weights[nodes.length - 1] = Math.max(0, end - at) / 1e6;
  return { nodes, weights, unit: 'seconds', inTime: true };
}

/** Older profiles have counted only. */
function hits(document) {
  const seen = document.nodes.filter((node) => node?.hitCount > 0);
  return {
    nodes: seen.map((node) => node.id),
    weights: Float64Array.from(seen, (node) => numberOf(node.hitCount, 'A count of this profile')),
    unit: 'samples',
    inTime: false,
  };
}

/** What was allocated and is still there, by the function that has, in the order in which it was. */
export function readHeapProfile(document) {
  const places = new Places();
  const paths = new Paths();
  const pathOf = new Map();
  const sizes = [];
  const waiting = [[document.head, 0]];
  while (waiting.length > 0) {
    const [node, from] = waiting.pop();
    const isRoot = node?.callFrame?.functionName === ROOT;
    const path = isRoot ? from : paths.into(from, placeOf(places, node?.callFrame, 0));
    if (node?.id !== undefined) pathOf.set(node.id, path);
    if (node?.selfSize > 0) sizes.push([path, node.selfSize]);
    for (const child of Array.isArray(node?.children) ? node.children : []) waiting.push([child, path]);
  }
  const taken = Array.isArray(document.samples) ? document.samples : [];
  const inTime = taken.length > 0;
  const found = inTime ? inOrder(taken, pathOf) : sizes;
  return book([
    profile({
      name: 'Allocated and still there',
      unit: 'bytes',
      places,
      paths,
      samples: Int32Array.from(found, ([path]) => path),
      weights: Float64Array.from(found, ([, size]) => Math.max(0, numberOf(size, 'A size of this profile'))),
      inTime,
    }),
  ]);
}

function inOrder(taken, pathOf) {
  const kept = taken.filter((sample) => pathOf.has(sample?.nodeId));
  kept.sort((one, other) => one.ordinal - other.ordinal);
  return kept.map((sample) => [pathOf.get(sample.nodeId), sample.size]);
}

/** The line of a call that was seen most; 0 where V8 has not told. */
function seenAt(node) {
  const ticks = Array.isArray(node.positionTicks) ? node.positionTicks : [];
  return ticks.reduce((best, each) => (each?.ticks > best.ticks ? each : best), { line: 0, ticks: 0 }).line;
}

function placeOf(places, callFrame, line) {
  const file = fileOf(textOf(callFrame?.url));
  const begin = file === '' ? 0 : Math.max(0, (callFrame?.lineNumber ?? -1) + 1);
  const name = textOf(callFrame?.functionName) || (begin > 0 ? `(anonymous:${begin})` : '(anonymous)');
  return places.at(name, file, line > 0 ? line : begin);
}

function fileOf(url) {
  if (!url.startsWith('file://')) return url;
  const path = url.slice('file://'.length);
  try {
    return decodeURIComponent(path);
  } catch {
    return path;
  }
}
