/*
Values of the API as people read them, each with the unit that its name tells, and rows as small tables. Pure.

What a list of rows is of stands in one field of it or in two; every other number is a column.
*/

import { ORIGIN_WORDS } from './flame/origin.js';
import { ago, basename, bytes, clock, count, duration, plain, share } from './words.js';

const NAMES = ['function', 'type', 'coroutine', 'name', 'chain', 'pool', 'resource', 'kind', 'thread'];
const PLACES = ['at', 'origin', 'waits_at'];
const NO_FIGURES = new Set([...NAMES, ...PLACES, 'file', 'line', 'id']);
const AS_THEY_ARE = new Set([
  'pid',
  'pids',
  'parent_pid',
  'supervisor_pid',
  'replaced_by',
  'line',
  'id',
  'code',
  'slot',
]);
const TITLES = { chain: 'held by', name: 'thread' };
const MOST_ROWS = 20;
const A_NAME = 400;

/** A value with its unit; "–" where it is not known. */
export function figure(name, value) {
  if (value === null || value === undefined) return '–';
  if (typeof value === 'boolean') return value ? 'yes' : 'no';
  if (typeof value !== 'number') return plain(typeof value === 'string' ? value : JSON.stringify(value), A_NAME);
  if (AS_THEY_ARE.has(name)) return String(value);
  if (name.endsWith('share')) return share(value);
  if (name.endsWith('bytes')) return bytes(value);
  if (name.endsWith('bytes_per_second')) return rate(value);
  if (name.endsWith('seconds')) return duration(value);
  return Number.isInteger(value) ? count(value) : String(Number(value.toPrecision(4)));
}

/** Bytes over time: by the hour, or by the minute where it goes that fast. */
export function rate(perSecond) {
  const fast = perSecond * 60 >= 10 * 2 ** 20;
  return fast ? `${bytes(perSecond * 60)} a minute` : `${bytes(perSecond * 3600)} an hour`;
}

/** A moment, to be compared with logs, and how far away it is, to be felt. */
export function moment(iso, now) {
  return Number.isNaN(Date.parse(iso)) ? plain(iso) : `${clock(iso, now)}, ${ago(iso, now)}`;
}

/** `parse (orders.py:41)`: the last part of a path is what it is known by. */
export function place(frame) {
  return `${plain(frame.function, A_NAME)} (${basename(frame.file)}:${plain(frame.line)})`;
}

/** Whether a value is a list of rows. */
export function isTable(value) {
  return Array.isArray(value) && value.length > 0 && value.every((row) => isRow(row));
}

/** Rows as a table: what each is of, and its figures. */
export function rowsAsTable(heading, rows) {
  const first = rows[0];
  const named = Object.keys(first).filter((name) => !NO_FIGURES.has(name) && isFigure(first[name]));
  return {
    heading,
    columns: [{ title: titleOf(first) }, ...named.map((name) => ({ title: head(name), number: true }))],
    rows: rows.slice(0, MOST_ROWS).map((row) => [of(row), ...named.map((name) => cell(name, row[name]))]),
    more: Math.max(0, rows.length - MOST_ROWS),
  };
}

/** What rows are of, by the field that names them. */
function titleOf(row) {
  const name = NAMES.find((each) => row[each]) ?? 'what';
  return Object.hasOwn(TITLES, name) ? TITLES[name] : name;
}

/** A share has a bar beside it. */
function cell(name, value) {
  const text = figure(name, value);
  return name.endsWith('_share') && typeof value === 'number' ? { text, bar: value } : text;
}

function isRow(value) {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function isFigure(value) {
  return typeof value === 'number' || typeof value === 'boolean';
}

function head(name) {
  if (name.endsWith('bytes_per_second')) return 'pace';
  return plain(name)
    .replace(/_(share|bytes|seconds)$/, '')
    .replace('_per_second', ' each second')
    .replaceAll('_', ' ');
}

function of(row) {
  const name = NAMES.find((each) => row[each]);
  let told = name === undefined ? 'not known' : plain(row[name], A_NAME);
  if (row.file) told = place({ ...row, function: row[name] });
  const at = PLACES.map((each) => row[each]).find(Boolean);
  if (Object.hasOwn(ORIGIN_WORDS, at)) return at === 'own' ? told : `${told}, ${ORIGIN_WORDS[at]}`;
  if (typeof at === 'string') return `${told}, in ${plain(at)}`;
  return isRow(at) ? `${told}, in ${place(at)}` : told;
}
