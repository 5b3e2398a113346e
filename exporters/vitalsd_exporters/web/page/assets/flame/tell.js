/* What is said of functions and boxes: in the hint beside the pointer, in the line below, to a screen reader. */

import { bytes, count, duration, plain } from '../words.js';
import { ORIGIN_WORDS } from './origin.js';

const MANY_PARTS = 2;
const MOST_DIGITS = 6;
const SCALES = [
  [1, 's'],
  [1e3, 'ms'],
  [1e6, 'µs'],
];

/** An amount of what a profile is of. */
export function amount(value, unit) {
  if (unit === 'seconds') return duration(value);
  return unit === 'bytes' ? bytes(value) : `${count(Math.round(value))} ${unit}`;
}

/** A part of the whole: with a decimal where it is small, since 0.4 % of a minute is something. */
export function share(part) {
  if (!Number.isFinite(part)) return '–';
  if (part > 0 && part < 0.0005) return '<0.1\u00a0%';
  return `${part < 0.0995 && part > 0 ? (part * 100).toFixed(1) : Math.round(part * 100)}\u00a0%`;
}

/** The same at a mark of an axis, as exact as its steps are. */
export function axisWords(value, step, unit) {
  if (unit === 'bytes') return bytes(value);
  if (unit !== 'seconds') return count(Math.round(value));
  const [scale, word] = SCALES.find(([each]) => Math.max(value, step * 10) * each >= 1) ?? SCALES.at(-1);
  const digits = Math.max(0, -Math.floor(Math.log10(step * scale) + 1e-9));
  return `${(value * scale).toFixed(Math.min(MOST_DIGITS, digits))}\u00a0${word}`;
}

/** The end of the path, and the line that was seen most. */
export function placeWords({ file, line }) {
  if (file === '') return '';
  const short = file.split('/').slice(-MANY_PARTS).join('/');
  return line > 0 ? `${short}:${line}` : short;
}

/** Whose it is: "package sqlalchemy". */
export function originWords({ origin, package: from }) {
  if (from === '') return ORIGIN_WORDS[origin];
  return `${origin === 'package' ? 'package' : ORIGIN_WORDS[origin]} ${plain(from, 60)}`;
}

/** A box in one sentence: what it is, where, and what it took. */
export function boxSentence(boxes, box, unit) {
  const { itself, all } = boxAmounts(boxes, box, unit);
  const called = boxes.functions[boxes.called[box]];
  return itself === null ? `${nameWords(called)} calls it for ${all}.` : functionSentence(called, itself, all);
}

/** The same of a function, with what it took in words. */
export function functionSentence(called, itself, all) {
  return `${nameWords(called)}: ${all}, of which itself ${itself}.`;
}

function nameWords(called) {
  const place = placeWords(called);
  return `${plain(called.name)}${place ? `, ${plain(place)}` : ''}`;
}

/** What a box took, in words; of who calls the function in the middle, only for how much of it. */
export function boxAmounts(boxes, box, unit) {
  const of = (value) => `${amount(value, unit)} (${share(boxes.width > 0 ? value / boxes.width : 0)})`;
  const isCaller = boxes.row[box] < boxes.subjectRow;
  return { itself: isCaller ? null : of(boxes.self[box]), all: of(boxes.end[box] - boxes.begin[box]) };
}

/** The lines of a function that took most. */
export function lineWords(lines, total, most = 3) {
  if (lines.length < 2 || !(total > 0)) return '';
  return lines
    .slice(0, most)
    .map(([line, weight]) => `${line} (${share(weight / total)})`)
    .join(', ');
}
