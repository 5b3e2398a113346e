/*
The evidence of an incident in parts, as `vitalsd incidents ID` tells it: facts in words, small tables, stacks. Pure.

A part is one of `{heading, facts: [[label, fact]]}`, `{heading, note, columns, rows, more}`,
`{heading, note, frames}` and `{sentence}`. A fact is text, `{text, href}` or `{text, values}`; a cell is text or
`{text, bar}`. All text is plain.
*/

import { end, endsAsTable } from './ends.js';
import { figure, isTable, moment, rowsAsTable } from './figures.js';
import { ABOUT_GROWTH, growing } from './growing.js';
import { label, meaning } from './labels.js';
import { bytes, clock, count, duration, plain } from './words.js';

const ENDS = ['exits', 'perhaps'];
const APART = new Set(['stacks', 'stacks_of', 'no_stack_reason', ...ENDS, ...ABOUT_GROWTH]);
const HEADINGS = {
  exits: 'Ends, the latest last',
  perhaps: 'It may have been one of these',
  looked_at: 'Errors that were looked at',
  pools: 'Pools with the longest queues',
  holders: 'Who holds it',
  top_sites: 'Allocated and still there, most first',
  top_functions: 'Where the time went, library calls charged to who called them',
  largest_types: 'What most of the memory is',
  threads: 'Threads',
};
const IN_BYTES = new Set(['leak', 'growth', 'fragmentation']);
const PIDS = new Set(['pid', 'pids', 'parent_pid', 'supervisor_pid', 'replaced_by']);
const A_SENTENCE = 1000;
const A_LIST = 2000;

/** All of it, but for what is told beside it with the captures that it is from: `summaries` are theirs. */
export function evidence(incident, summaries, now) {
  const told = incident.evidence ?? {};
  const others = Object.entries(told).filter(
    ([name, value]) => !APART.has(name) && !ofStalls(name, told) && !isIn(summaries, name, value),
  );
  const tables = others.filter(([, value]) => isTable(value));
  const words = new Words(now, {
    inBytes: IN_BYTES.has(incident.kind) && told.proven_by !== 'blocks',
    over: incident.state === 'resolved',
  });
  const facts = others
    .filter(([name, value]) => name !== 'reason' && !isTable(value))
    .map(([name, value]) => [label(name, incident.kind), words.told(name, value)])
    .filter(([, text]) => text !== '');
  const growth = Object.fromEntries(
    ABOUT_GROWTH.map((name) => [name, told[name]]).filter(([name, value]) => !isIn(summaries, name, value)),
  );
  return [
    ...(facts.length > 0 ? [{ heading: 'Measured', facts }] : []),
    ...ENDS.filter((name) => isTable(told[name])).map((name) => endsAsTable(headingOf(name), told[name], now)),
    ...tables.map(([name, rows]) => rowsAsTable(headingOf(name), rows)),
    ...growing(growth, now),
    ...stalls(told, now),
    ...(Array.isArray(told.stacks) ? told.stacks : []).map((each, at) => stack(each, at === 0 && whose(told, now))),
    ...(told.no_stack_reason ? [{ sentence: `No stack: ${plain(told.no_stack_reason, A_SENTENCE)}` }] : []),
  ];
}

/** The heading above the rows of a field. */
export function headingOf(name) {
  if (Object.hasOwn(HEADINGS, name)) return HEADINGS[name];
  const words = plain(name).replaceAll('_', ' ');
  return words.charAt(0).toUpperCase() + words.slice(1);
}

/** Figures of one incident in words. */
class Words {
  constructor(now, { inBytes, over }) {
    this.now = now;
    this.inBytes = inBytes;
    this.over = over;
  }

  /** What is told of a field: text, or text with where it leads, or with what it looks like. */
  told(name, value) {
    const text = value === null || value === undefined ? '' : plain(this.of(name, value), A_LIST);
    if (name === 'floors' && Array.isArray(value)) return { text, values: value.filter(Number.isFinite) };
    return name === 'capture' && text !== '' ? { text, href: `#/captures/${encodeURIComponent(value)}` } : text;
  }

  /** One figure, or several of a kind; empty for what is not known. */
  of(name, value) {
    if (value === null || value === undefined || value === '') return '';
    if (name === 'exit' && typeof value === 'object') return end(value, this.now);
    if (Array.isArray(value)) return value.map((each) => this.of(oneOf(name), each)).join(', ') + this.then(name);
    if (typeof value === 'object') {
      return (
        Object.entries(value)
          .map(([key, each]) => `${plain(key)}: ${this.inner(name, key, each)}`)
          .join(', ') + this.then(name)
      );
    }
    if (typeof value === 'string') return this.word(name, value);
    if (typeof value === 'number' && (name === 'grew' || name === 'floors')) {
      return this.inBytes ? bytes(value) : count(value);
    }
    return figure(name, value) + this.then(name);
  }

  word(name, value) {
    if (name === 'since' || name.endsWith('_at')) return moment(value, this.now);
    const means = meaning(name, value);
    if (means === undefined) return plain(value, A_SENTENCE);
    return value.length === 1 ? `${means} (${value})` : means;
  }

  /** A figure in a group has the unit of its own name, else that of the group's. */
  inner(outer, name, value) {
    if (typeof value !== 'number') return this.of(name, value) || '–';
    return figure(/(seconds|bytes|share)$/.test(name) ? name : oneOf(outer), value);
  }

  /** A number that somebody else may have by now. */
  then(name) {
    return this.over && PIDS.has(name) ? ' (then)' : '';
  }
}

/** What each in a list or a group is a figure of. */
function oneOf(name) {
  return name.replace(/_by_generation$|_before$/, '').replace(/shares$/, 'share');
}

function ofStalls(name, told) {
  return 'stalls' in told && (name === 'stalls' || name === 'count');
}

/** Whether one of the captures tells it. */
function isIn(summaries, name, value) {
  return summaries.some((summary) => same(value, summary[name]));
}

function same(value, other) {
  return value !== undefined && value !== null && JSON.stringify(value) === JSON.stringify(other);
}

function stalls(told, now) {
  if (!isTable(told.stalls)) return [];
  const rows = told.stalls;
  const of = {
    worker: rows.some((each) => each.worker),
    stack: rows.some((each) => typeof each.stack_after_seconds === 'number'),
  };
  return [
    {
      heading: `Stalls, the latest ${rows.length} of ${count(told.count ?? rows.length)}`,
      columns: [
        { title: 'began' },
        ...(of.worker ? [{ title: 'worker' }] : []),
        { title: 'lasted', number: true },
        { title: 'cause' },
        ...(of.stack ? [{ title: 'first stack after', number: true }] : []),
      ],
      rows: rows.map((each) => [
        clock(each.started_at, now),
        ...(of.worker ? [plain(each.worker ?? '')] : []),
        duration(each.duration_seconds ?? null),
        plain(each.cause).replaceAll('_', ' '),
        ...(of.stack ? [duration(each.stack_after_seconds ?? null)] : []),
      ]),
      more: 0,
    },
  ];
}

/** Of which stall the first stack is; others may be of others. */
function whose({ stacks_of: of }, now) {
  if (typeof of?.duration_seconds !== 'number') return '';
  return `of the stall of ${duration(of.duration_seconds)} that began at ${clock(of.started_at, now)}`;
}

function stack(told, of) {
  const seen =
    typeof told.samples === 'number' ? `seen ${told.samples === 1 ? 'once' : `${count(told.samples)} times`}` : '';
  return {
    heading: 'Stack',
    note: [seen, of, 'innermost first'].filter(Boolean).join(', '),
    frames: told.frames ?? [],
  };
}
