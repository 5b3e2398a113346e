/*
Small charts in SVG, drawn anew when their values are: a line for a glance, and lines against a limit.
*/

import { h, s } from './dom.js';

const SPARK = { width: 100, height: 30 };

/** One line without axes; what is not known is a gap. `label` says in words what it shows. */
export function sparkline(values, { label, most }) {
  const known = values.filter((value) => value !== null && value !== undefined);
  const top = Math.max(most ?? 0, ...known, Number.MIN_VALUE);
  const step = values.length > 1 ? SPARK.width / (values.length - 1) : 0;
  const at = (value, index) => [index * step, SPARK.height - 1 - (value / top) * (SPARK.height - 3)];
  const pieces = stretches(values.map((value, index) => (value === null || value === undefined ? null : at(value, index))));
  return s(
    'svg',
    { class: 'spark', viewBox: `0 0 ${SPARK.width} ${SPARK.height}`, preserveAspectRatio: 'none', role: 'img', 'aria-label': label },
    pieces.map((piece) => [
      s('path', { class: 'area', d: `${path(piece)}L${piece.at(-1)[0]} ${SPARK.height}L${piece[0][0]} ${SPARK.height}Z` }),
      s('path', { class: 'line', d: path(piece) }),
    ]),
  );
}

/** Placeholder for lines against a limit. */
export function lines({ label }) {
  return h('p', {}, label);
}

function path(points) {
  return points.map(([x, y], index) => `${index === 0 ? 'M' : 'L'}${x.toFixed(2)} ${y.toFixed(2)}`).join('');
}

/** The parts between gaps. */
function stretches(points) {
  const pieces = [];
  let open = null;
  for (const point of points) {
    if (point === null) open = null;
    else if (open === null) pieces.push((open = [point]));
    else open.push(point);
  }
  return pieces;
}
