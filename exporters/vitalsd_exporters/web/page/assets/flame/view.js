/* The window on a layout: from where to where, and which row is the first. Pure: each function returns a new window. */

const MOST_TIMES = 1e7;
const LEAST_SHARE = 0.02;
const ROWS_ABOVE = 0.3;
const ROUNDING = 1e-9;

/** All of it. */
export const whole = (width) => ({ left: 0, right: width, top: 0 });

/** Whether there is nothing beside it. */
export const isWhole = (view, width) => view.left <= 0 && view.right >= width;

/** Nothing is shown of what is beside the layout, and of something so much that it can be seen. */
export function clamped({ left, right, top }, width, { rows = Infinity, shown = 0 } = {}) {
  const span = Math.min(width, Math.max(right - left, width / MOST_TIMES));
  const from = Math.min(Math.max(0, left), width - span);
  return { left: from, right: from + span, top: Math.max(0, Math.min(top, rows - shown)) };
}

/** Nearer, or further away by a factor below 1; what is at a point stays where it is. */
export function zoomed(view, width, point, factor) {
  const span = (view.right - view.left) / factor;
  const left = point - ((point - view.left) / (view.right - view.left)) * span;
  return clamped({ ...view, left, right: left + span }, width);
}

/** Beside it, by a share of what is shown, and by rows. */
export function moved(view, width, share, rows, room) {
  const step = (view.right - view.left) * share;
  return clamped({ left: view.left + step, right: view.right + step, top: view.top + rows }, width, room);
}

/** From one edge of a box to the other; of rows that do not all fit, those that it calls more than those that call it. */
export function onto(view, width, { begin, end, row }, room) {
  const top = room.rows > room.shown ? row - room.shown * ROWS_ABOVE : 0;
  return clamped({ left: begin, right: end, top }, width, room);
}

/** The same window, moved no further than it takes to see a box, and wide enough for it to be something. */
export function revealed(view, width, { begin, end, row }, room) {
  let { left, right, top } = view;
  const span = right - left;
  const seen = Math.min(end, right) - Math.max(begin, left);
  if (seen < Math.min(end - begin, span * LEAST_SHARE)) {
    const middle = (begin + end) / 2;
    const wide = Math.max(end - begin, Math.min(span, (end - begin) / LEAST_SHARE));
    [left, right] = [middle - wide / 2, middle + wide / 2];
  }
  if (row < top) top = row;
  if (row >= top + room.shown) top = row - room.shown + 1;
  return clamped({ left, right, top }, width, room);
}

/** Somewhere on the way from one window to another, at a share of the way. */
export function between(from, to, share) {
  const along = (key) => from[key] + (to[key] - from[key]) * share;
  return { left: along('left'), right: along('right'), top: along('top') };
}

/** Where an axis has its marks: round numbers, or such of `base` to some power, about so many of them. */
export function marks(left, right, most, base = 10) {
  const rough = (right - left) / Math.max(1, most);
  const whole = base ** Math.floor(Math.log(rough) / Math.log(base) + ROUNDING);
  const power = 10 ** Math.floor(Math.log10(rough / whole) + ROUNDING);
  const step = [1, 2, 5, 10].map((each) => each * power * whole).find((each) => each >= rough * (1 - ROUNDING));
  const found = [];
  for (let at = Math.ceil(left / step); at * step <= right && found.length <= most + 1; at += 1) found.push(at * step);
  return { step, marks: found };
}
