/* Captures in words: what became of one, how long it took, and what is in it as parts like those of evidence. Pure. */

import { headingOf } from './evidence.js';
import { figure, isTable, moment, rowsAsTable } from './figures.js';
import { growing } from './growing.js';
import { label, meaning } from './labels.js';
import { bytes, count, duration, plain, share } from './words.js';

const FIRST = ['top_functions', 'top_sites', 'growing_types', 'holders', 'largest_types', 'threads'];
const GROWTH = new Set(['growing_types', 'census_at', 'census_seconds', 'census_share']);
const SAID = new Set(['instead']);
const ACTIVE = new Set(['waiting', 'running', 'stopping']);
const FORCIBLE = new Set(['cooldown', 'budget']);
const A_SENTENCE = 1000;
const NOT_HELD = 'not at all';

/** Whether it goes on. */
export function isActive(capture) {
  return ACTIVE.has(capture.state);
}

/** `shop/0`, or the target alone. */
export function whereOf(row) {
  return plain(row.worker ? `${row.target}/${row.worker}` : row.target);
}

/** How long it took; null where that is not known. */
export function took(capture) {
  const from = Date.parse(capture.started_at ?? '');
  const to = Date.parse(capture.ended_at ?? '');
  return Number.isNaN(from) || Number.isNaN(to) ? null : Math.max(0, (to - from) / 1000);
}

/** Its state, with how far it is or what it waits for. */
export function stateText(capture) {
  if (capture.waits_for) return `${capture.state} ${plain(capture.waits_for)}`;
  if (typeof capture.progress === 'number' && isActive(capture))
    return `${capture.state}, ${share(capture.progress)} done`;
  return capture.state;
}

/** Bytes of all of its files; null where it has none. */
export function sizeOf(capture) {
  const files = capture.artifacts ?? [];
  return files.length === 0 ? null : files.reduce((sum, each) => sum + each.size_bytes, 0);
}

/** Who asked for it. */
export function askedBy(capture) {
  const words = { person: 'somebody', incident: 'an incident', alert: 'an alert' };
  return Object.hasOwn(words, capture.asked_by) ? words[capture.asked_by] : plain(capture.asked_by);
}

/** What has become of it, for somebody who reads one line; `atOnce` is how one that was refused is had all the same. */
export function sentenceOf(capture, now = null, atOnce = null) {
  const what = `${capture.kind} capture of ${whereOf(capture)}`;
  const problem = plain(capture.problem || 'it does not say why', A_SENTENCE).replace(/\.$/, '');
  if (capture.state === 'done') return done(capture, what);
  if (capture.state === 'refused') return `No ${what}: ${problem}${againOf(capture, now, atOnce)}.`;
  if (capture.state === 'failed') return `The ${what} failed: ${problem}.`;
  if (capture.state === 'cancelled') return `The ${what} was cancelled, and nothing of it is kept.`;
  return `The ${what} is ${stateText(capture)}. ${priceOf(capture)}`.trim();
}

/** When to ask again of one that was refused; empty where nobody knows, or the time is over. */
function againOf(capture, now, atOnce) {
  const rest = now === null ? null : restOf(capture, now);
  if (!rest) return '';
  const also = atOnce && FORCIBLE.has(capture.refusal) ? `, or now ${atOnce}` : '';
  return `: ask again in ${duration(rest)}${also}`;
}

/** For how many seconds a refusal holds from now on; null where nobody has said. */
function restOf({ retry_after_seconds: seconds, ended_at: ended, asked_at: asked }, now) {
  const refused = Date.parse(ended ?? asked ?? '');
  return seconds && !Number.isNaN(refused) ? Math.max(0, seconds - Math.abs(now - refused) / 1000) : null;
}

/** What it is known to cost the service, as long as it goes on; empty where that is nothing to speak of. */
export function priceOf({ holds_seconds: holds }) {
  return holds ? `It holds the service for about ${duration(holds)}, on a busy host longer.` : '';
}

/** What is in it: its tables, and each figure beside them. */
export function summaryOf(capture, now) {
  const told = capture.summary ?? {};
  const names = [
    ...FIRST.filter((name) => name in told),
    ...Object.keys(told).filter((name) => !FIRST.includes(name)),
  ];
  const parts = names.flatMap((name) => {
    if (name === 'growing_types') return growing(told, now);
    return isTable(told[name]) ? [rowsAsTable(headingOf(name), told[name])] : [];
  });
  const grows = isTable(told.growing_types);
  const facts = names
    .filter((name) => !SAID.has(name) && !(grows && GROWTH.has(name)) && !isTable(told[name]))
    .filter((name) => ['number', 'string', 'boolean'].includes(typeof told[name]))
    .map((name) => [label(name), fact(name, told[name], now)]);
  return facts.length > 0 ? [...parts, { heading: 'Measured', facts }] : parts;
}

/** Facts of the capture itself. */
export function factsOf(capture, now) {
  const asked = capture.asked_by === 'person' ? `somebody at ${plain(capture.who)}` : askedBy(capture);
  const facts = {
    worker: `${whereOf(capture)}, process ${plain(capture.pid)}`,
    'asked by': asked,
    reason: plain(capture.reason, A_SENTENCE),
    asked: moment(capture.asked_at, now),
    began: capture.started_at && moment(capture.started_at, now),
    ended: capture.ended_at && moment(capture.ended_at, now),
    engine: capture.engine && plain(capture.engine),
    took: took(capture) !== null && duration(took(capture)),
    'known to hold it': capture.holds_seconds && `for about ${duration(capture.holds_seconds)}`,
    'held the service': heldFor(capture),
    harm: capture.harm && plain(capture.harm, A_SENTENCE),
    pinned: capture.pinned && 'yes: it is kept, whatever room its files take',
    copied: capture.uploaded_at && moment(capture.uploaded_at, now),
    'not copied': capture.upload_problem && plain(capture.upload_problem, A_SENTENCE),
    'may be asked again': againAt(capture, now),
    size: sizeOf(capture) !== null && `${bytes(sizeOf(capture))} in ${count(capture.artifacts.length)} files`,
  };
  return Object.entries(facts).filter(([, text]) => text);
}

function againAt(capture, now) {
  const rest = restOf(capture, now);
  return rest === null ? null : rest === 0 ? 'now' : `in ${duration(rest)}`;
}

function done(capture, what) {
  const by = capture.engine ? ` by ${plain(capture.engine)}` : '';
  const lasted = took(capture);
  const within = lasted ? ` in ${duration(lasted)}` : '';
  const held = heldFor(capture);
  const told = { '': '', [NOT_HELD]: '; the service was not held' }[held] ?? `; it held the service ${held}`;
  const instead = capture.summary?.instead
    ? ` Nothing better could be used: ${plain(capture.summary.instead, A_SENTENCE).replace(/\.$/, '')}.`
    : '';
  const harm = capture.harm ? ` It did harm: ${plain(capture.harm, A_SENTENCE)}` : '';
  return `Took a ${what}${by}${within}${told}.${instead}${harm}`;
}

/** For how long it kept the service from its work; empty where nobody knows. */
function heldFor({ pause_seconds: seconds }) {
  if (typeof seconds !== 'number') return '';
  return seconds === 0 ? NOT_HELD : `for at most ${duration(seconds)} at a time`;
}

function fact(name, value, now) {
  if (typeof value !== 'string') return figure(name, value);
  if (name.endsWith('_at') || name === 'compared_with') return moment(value, now);
  return meaning(name, value) ?? plain(value, A_SENTENCE);
}
