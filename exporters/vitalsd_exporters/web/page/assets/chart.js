/*
Small charts in SVG: a line for a glance, and lines over time against a limit. Both have their words for who does not
see them; what is not known is a gap.
*/

import { fill, h, s, text } from './dom.js';
import { bytes, clock } from './words.js';

const SPARK = { width: 100, height: 30 };
const HEIGHT = 200;
const LEFT = 64;
const RIGHT = 12;
const TOP = 10;
const BOTTOM = 22;
const MINUTE = 60_000;
const STEPS = [1, 2, 5, 10, 15, 30, 60, 120, 180, 360, 720, 1440, 2880, 10_080].map((minutes) => minutes * MINUTE);
const EACH_TICK = 110;
/* Pixels. */

/** One line without axes. `label` says in words what it shows; `most` is what reaches the top at least. */
export function sparkline(values, { label, most = 0 }) {
  const known = values.filter(isKnown);
  const top = Math.max(most, ...known, Number.MIN_VALUE);
  const step = values.length > 1 ? SPARK.width / (values.length - 1) : 0;
  const points = values.map((value, at) =>
    isKnown(value) ? [at * step, SPARK.height - 1 - (value / top) * (SPARK.height - 3)] : null,
  );
  const box = { viewBox: `0 0 ${SPARK.width} ${SPARK.height}`, preserveAspectRatio: 'none' };
  return s(
    'svg',
    { class: 'spark', ...box, role: 'img', 'aria-label': label },
    pieces(points).map((piece) => drawn(piece, SPARK.height)),
  );
}

/**
 * Lines over time, in a figure that is as wide as its place. `series` is `[{name, points: [[milliseconds, value]]}]`,
 * of which the first is filled; `limit` a value, `forecast` points from now on, `words(value)` how values are said.
 */
export function lines({ series, limit = null, forecast = [], label, words = bytes }) {
  const readout = h('figcaption', { class: 'key' });
  const canvas = h('div', { class: 'canvas' });
  const element = h('figure', { class: 'lines' }, canvas, readout);
  const key = keyOf(series, limit, forecast, words);
  fill(readout, key);
  let width = 0;
  const sized = new ResizeObserver(([{ contentRect }]) => {
    if (!element.isConnected) sized.disconnect();
    else if (Math.round(contentRect.width) !== width && contentRect.width > 0) draw(Math.round(contentRect.width));
  });
  sized.observe(canvas);

  function draw(wide) {
    width = wide;
    const space = spaceOf(series, limit, forecast, width);
    const marker = s('line', { class: 'marker', y1: TOP, y2: HEIGHT - BOTTOM, x1: -9, x2: -9 });
    const svg = s(
      'svg',
      {
        class: 'chart',
        viewBox: `0 0 ${width} ${HEIGHT}`,
        width,
        height: HEIGHT,
        role: 'img',
        'aria-label': label,
      },
      axes(space, words),
      series.map(({ points }, at) =>
        path(space, points).map((piece) => drawn(piece, HEIGHT - BOTTOM, at === 0, at)),
      ),
      forecast.length > 0 && s('path', { class: 'forecast', d: stroke(forecast.map((point) => space.at(point))) }),
      limit !== null && limited(space, limit, words),
      marker,
    );
    svg.addEventListener('pointermove', (event) => point(event, svg, space, marker));
    svg.addEventListener('pointerleave', () => {
      marker.setAttribute('x1', -9);
      marker.setAttribute('x2', -9);
      fill(readout, key);
    });
    fill(canvas, svg);
  }

  /** Say what was at the moment that somebody points at. */
  function point(event, svg, space, marker) {
    const its = svg.getBoundingClientRect();
    const time = space.timeOf(((event.clientX - its.left) * width) / its.width);
    const nearest = series
      .map(({ name, points }) => ({ name, point: closest(points, time) }))
      .filter((each) => each.point);
    if (nearest.length === 0) return;
    const [x] = space.at(nearest[0].point);
    marker.setAttribute('x1', x);
    marker.setAttribute('x2', x);
    const said = nearest.map(({ name, point: [, value] }) => `${name} ${words(value)}`).join(', ');
    fill(readout, text(h('span', {}), `${clock(new Date(nearest[0].point[0]).toISOString())}: ${said}`));
  }

  return element;
}

function isKnown(value) {
  return value !== null && value !== undefined;
}

/** How times and values become places. */
function spaceOf(series, limit, forecast, width) {
  const all = [...series.flatMap(({ points }) => points), ...forecast];
  const times = all.map(([time]) => time);
  const from = Math.min(...times);
  const to = Math.max(...times, from + MINUTE / 2);
  const top = Math.max(...all.map(([, value]) => value ?? 0), limit ?? 0, 1) * 1.06;
  return {
    ...{ from, to, top, width },
    at: ([time, value]) => [
      LEFT + ((time - from) / (to - from)) * (width - LEFT - RIGHT),
      HEIGHT - BOTTOM - (value / top) * (HEIGHT - TOP - BOTTOM),
    ],
    timeOf: (x) => from + ((x - LEFT) / (width - LEFT - RIGHT)) * (to - from),
  };
}

function axes(space, words) {
  const { from, to, top, width } = space;
  const across = rounded(top / 4);
  const values = Array.from({ length: Math.floor(top / across) + 1 }, (_, at) => at * across);
  const least = ((to - from) / (width - LEFT - RIGHT)) * EACH_TICK;
  const step = STEPS.find((each) => each >= least) ?? STEPS.at(-1);
  const times = [];
  for (let time = Math.ceil(from / step) * step; time <= to; time += step) times.push(time);
  return [
    values.map((value) => {
      const [, y] = space.at([from, value]);
      const line = s('line', { class: 'grid', x1: LEFT, x2: width - RIGHT, y1: y, y2: y });
      return [line, s('text', { x: LEFT - 8, y: y + 4, 'text-anchor': 'end' }, words(value))];
    }),
    times.map((time) => {
      const [x] = space.at([time, 0]);
      if (x < LEFT + 16 || x > width - RIGHT - 16) return null;
      return s('text', { x, y: HEIGHT - 5, 'text-anchor': 'middle' }, timeWords(time, step));
    }),
  ];
}

function timeWords(time, step) {
  const told = new Date(time).toISOString();
  return step >= 1440 * MINUTE ? told.slice(5, 10) : told.slice(11, 16);
}

/** A step that reads well in units of 1024. */
function rounded(value) {
  const unit = 1024 ** Math.max(0, Math.floor(Math.log(Math.max(1, value)) / Math.log(1024)));
  const steps = [
    1, 2, 4, 5, 8, 10, 16, 20, 25, 32, 40, 50, 64, 80, 100, 128, 160, 200, 256, 320, 400, 512, 640, 800, 1024,
  ];
  return steps.find((step) => step * unit >= value) * unit;
}

function limited(space, limit, words) {
  const [, y] = space.at([space.from, limit]);
  return [
    s('line', { class: 'limit', x1: LEFT, x2: space.width - RIGHT, y1: y, y2: y }),
    s(
      'text',
      { class: 'limit-text', x: space.width - RIGHT, y: y > TOP + 14 ? y - 5 : y + 14, 'text-anchor': 'end' },
      `limit ${words(limit)}`,
    ),
  ];
}

function path(space, points) {
  return pieces(points.map((each) => (isKnown(each[1]) ? space.at(each) : null)));
}

function drawn(piece, ground, filled = true, at = 0) {
  const line = stroke(piece);
  return [
    filled &&
      s('path', {
        class: 'area',
        d: `${line}L${piece.at(-1)[0].toFixed(1)} ${ground}L${piece[0][0].toFixed(1)} ${ground}Z`,
      }),
    s('path', { class: at > 0 ? 'line second' : 'line', d: piece.length > 1 ? line : `${line}h0.01` }),
  ];
}

function stroke(points) {
  return points.map(([x, y], at) => `${at === 0 ? 'M' : 'L'}${x.toFixed(1)} ${y.toFixed(1)}`).join('');
}

/** The parts between gaps. */
function pieces(points) {
  const found = [];
  let open = null;
  for (const point of points) {
    if (point === null) open = null;
    else if (open === null) found.push((open = [point]));
    else open.push(point);
  }
  return found;
}

function closest(points, time) {
  const known = points.filter(([, value]) => isKnown(value));
  if (known.length === 0) return null;
  return known.reduce((a, b) => (Math.abs(b[0] - time) < Math.abs(a[0] - time) ? b : a));
}

function keyOf(series, limit, forecast, words) {
  const names = series.map(({ name, points }) => {
    const last = points.findLast(([, value]) => isKnown(value));
    return `${name}: ${last ? words(last[1]) : '–'}`;
  });
  if (limit !== null) names.push(`limit: ${words(limit)}`);
  if (forecast.length > 0) names.push('at its present pace: dotted');
  return names.map((each) => h('span', {}, each));
}
