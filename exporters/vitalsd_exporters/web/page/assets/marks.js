/*
States and severities as the whole page shows them: a sign, a word and a color, and never the color alone.
*/

import { duration, many } from './words.js';

const SEVERITIES = ['critical', 'warning', 'info'];
const SIGNS = { critical: '▲', warning: '◆', info: '●' };
const STATES = { up: '●', stalled: '■', down: '✕', vacant: '○', stopped: '‖' };

/** Where figures begin to be wrong, as the rules have it by default; `vitalsd top` has the same. */
export const BOUNDS = {
  LATE_SECONDS: 0.1,
  VERY_LATE_SECONDS: 0.5,
  NEARLY_FULL: 0.75,
  FULL: 0.9,
  SOON_SECONDS: 86_400,
  VERY_SOON_SECONDS: 3600,
};
const { LATE_SECONDS, VERY_LATE_SECONDS, NEARLY_FULL, FULL } = BOUNDS;

/** A severity as a part of a cell, or of anything that `part` of table.js makes. */
export function severity(name) {
  return { text: `${SIGNS[name] ?? '?'} ${name}`, class: `mark ${name}` };
}

/** How bad it is, for sorting: critical is least. */
export function rankOf(name) {
  const at = SEVERITIES.indexOf(name);
  return at < 0 ? SEVERITIES.length : at;
}

/** What is open, by severity: `▲ 1 ◆ 2`. */
export function openParts(open) {
  const parts = SEVERITIES.filter((name) => open[name] > 0).map((name) => ({
    text: `${SIGNS[name]} ${open[name]}`,
    class: `mark ${name}`,
    title: many(open[name], `open ${name} incident`),
  }));
  return parts.length > 0 ? parts : [{ text: 'none', class: 'faint' }];
}

/** The state of a worker, with for how long where that is seen; `words` are said in its place. */
export function state(row) {
  const word = row.words ?? (row.state === 'stalled' ? `stalled ${duration(row.stalled_seconds)}` : row.state);
  return { text: `${STATES[row.state] ?? '?'} ${word}`, class: `state ${row.state}` };
}

/** How urgent a worker is: what is wrong comes first, and a short stall moves nobody. */
export function urgency(row) {
  if (row.state === 'down' || row.state === 'stopped' || row.open.critical > 0) return 0;
  if (row.state === 'stalled' && row.stalled_seconds >= VERY_LATE_SECONDS) return 0;
  if (row.open.warning > 0) return 1;
  if (
    row.open.info > 0 ||
    row.exhausted_at !== null ||
    row.limit_share >= FULL ||
    row.delay_p99_seconds?.[0] >= LATE_SECONDS
  )
    return 2;
  return row.state === 'vacant' ? 4 : 3;
}

/** `10–25 ms`: the bounds between which a percentile lies, and nobody knows more. */
export function between(bounds) {
  if (bounds === null || bounds === undefined) return { text: '–', class: 'quiet' };
  const [low, high] = bounds;
  const worst = high ?? Infinity;
  const tone = low >= VERY_LATE_SECONDS ? 'critical' : low >= LATE_SECONDS ? 'warning' : '';
  if (high === null) return { text: `> ${duration(low)}`, class: tone };
  if (low === 0) return { text: `≤ ${duration(high)}`, class: tone };
  return {
    text: worst < 1 === low < 1 ? spanned(low, high) : `${duration(low)} – ${duration(high)}`,
    class: tone,
  };
}

/** How a share of something that ends looks: the class of its bar. */
export function tone(share) {
  if (share === null || share === undefined) return '';
  return share >= FULL ? 'critical' : share >= NEARLY_FULL ? 'warning' : '';
}

/** The unit once. */
function spanned(low, high) {
  const [from, its] = duration(low).split('\u00a0');
  const [, unit] = duration(high).split('\u00a0');
  return its === unit ? `${from}–${duration(high)}` : `${duration(low)} – ${duration(high)}`;
}
