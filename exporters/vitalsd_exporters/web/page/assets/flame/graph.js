/*
The graph: a canvas with a window on a layout, one box that is selected, one that the pointer is at, and what is searched
for. It is drawn once a frame at the most, and only when something is different. What people do to it is in gestures.js.
*/

import { h } from '../dom.js';
import { AXIS, Painter, ROW } from './draw.js';
import { Palette } from './palette.js';
import { between, clamped, isWhole, moved, onto, revealed, whole, zoomed } from './view.js';

const MOVE_MS = 160;

/** One graph; `selected(box)` is told of what is selected, -1 for nothing, and `looked(graph)` of each new picture. */
export class Graph {
  constructor({ label, describedBy, selected, looked }) {
    this.canvas = h('canvas', {
      class: 'flame-canvas',
      tabindex: 0,
      role: 'application',
      'aria-label': label,
      'aria-roledescription': 'flame graph',
      'aria-describedby': describedBy,
    });
    this.element = h('div', { class: 'flame-graph' }, this.canvas);
    this.boxes = null;
    this.view = whole(1);
    this.selected = -1;
    this.hovered = -1;
    this.matched = null;
    this.chosen = -1;
    this.palette = null;
    this._told = { selected, looked };
    this._painter = new Painter(this.canvas);
    this._frame = 0;
    this._moving = null;
    this._resized = new ResizeObserver(() => this.changed());
    this._resized.observe(this.canvas);
    this._dark = matchMedia('(prefers-color-scheme: dark)');
    this._recoloured = () => {
      this.palette = null;
      this.changed();
    };
    this._dark.addEventListener('change', this._recoloured);
  }

  /** Another layout, all of it; of a sandwich the rows around the function. */
  show(boxes, unit) {
    this.boxes = boxes;
    this.unit = unit;
    this.selected = this.hovered = -1;
    this._moving = null;
    this.view = whole(boxes.width);
    if (boxes.subject >= 0) {
      const top = boxes.subjectRow - this.room.shown / 2;
      this.view = clamped({ ...this.view, top }, boxes.width, this.room);
    }
    this.changed();
  }

  /** How many rows there are, and how many of them fit. */
  get room() {
    const shown = Math.max(1, (this.canvas.clientHeight - AXIS) / ROW);
    return { rows: this.boxes?.rows.length ?? 0, shown };
  }

  get isWhole() {
    return this.boxes === null || isWhole(this._goal, this.boxes.width);
  }

  get _goal() {
    return this._moving?.to ?? this.view;
  }

  /** The box at a point of the canvas; -1 for none. */
  boxAt(x, y) {
    const row = Math.floor((y - AXIS) / ROW + this.view.top);
    return y < AXIS || this.boxes === null ? -1 : this.boxes.at(row, this.pointAt(x));
  }

  /** Where in the profile a point of the canvas is. */
  pointAt(x) {
    return this.view.left + (x / Math.max(1, this.canvas.clientWidth)) * (this.view.right - this.view.left);
  }

  zoom(factor, point = this._middle, { slowly = false } = {}) {
    this._go(clamped(zoomed(this._goal, this.boxes.width, point, factor), this.boxes.width, this.room), slowly);
  }

  /** By a share of what is shown, and by rows. */
  move(share, rows) {
    this._go(moved(this._goal, this.boxes.width, share, rows, this.room), false);
  }

  /** So many pixels from where it was. */
  drag(view, x, y) {
    const share = -x / Math.max(1, this.canvas.clientWidth);
    this._go(moved(view, this.boxes.width, share, -y / ROW, this.room), false);
  }

  /** To a window from somewhere to somewhere. */
  moveTo(left, right) {
    this._go(clamped({ ...this.view, left, right }, this.boxes.width, this.room), false);
  }

  zoomOnto(box) {
    this._go(onto(this.view, this.boxes.width, this._edges(box), this.room), true);
  }

  reveal(box) {
    this._go(revealed(this._goal, this.boxes.width, this._edges(box), this.room), true);
  }

  showWhole() {
    this._go(clamped(whole(this.boxes.width), this.boxes.width, this.room), true);
  }

  select(box) {
    this.selected = box;
    this.changed();
    this._told.selected(box);
  }

  hover(box) {
    if (box === this.hovered) return;
    this.hovered = box;
    this.changed();
  }

  /** By number of the function, what is searched for; null for nothing. */
  search(matched) {
    this.matched = matched;
    this.changed();
  }

  /** The function whose boxes are all marked, by number; -1 for none. */
  choose(called) {
    this.chosen = called;
    this.changed();
  }

  /** Something is different: draw it with the next frame. */
  changed() {
    if (this._frame === 0) this._frame = requestAnimationFrame((now) => this._draw(now));
  }

  end() {
    cancelAnimationFrame(this._frame);
    this._frame = -1;
    this._resized.disconnect();
    this._dark.removeEventListener('change', this._recoloured);
  }

  /** Of what is selected as far as it is shown, else of what is shown. */
  get _middle() {
    const { left, right } = this._goal;
    if (this.selected < 0) return (left + right) / 2;
    const { begin, end } = this._edges(this.selected);
    const middle = (Math.max(begin, left) + Math.min(end, right)) / 2;
    return middle >= left && middle <= right ? middle : (left + right) / 2;
  }

  _edges(box) {
    return { begin: this.boxes.begin[box], end: this.boxes.end[box], row: this.boxes.row[box] };
  }

  _go(to, slowly) {
    const isSlow = slowly && !matchMedia('(prefers-reduced-motion: reduce)').matches;
    this._moving = isSlow ? { from: this.view, to, since: performance.now() } : null;
    if (!isSlow) this.view = to;
    this.changed();
  }

  _draw(now) {
    this._frame = 0;
    this._advance(now);
    const [width, height] = [this.canvas.clientWidth, this.canvas.clientHeight];
    if (this.boxes === null || width === 0 || height === 0) return;
    const ratio = devicePixelRatio || 1;
    const [wide, high] = [Math.round(width * ratio), Math.round(height * ratio)];
    if (this.canvas.width !== wide || this.canvas.height !== high) {
      this.canvas.width = wide;
      this.canvas.height = high;
    }
    this.palette ??= new Palette(this.canvas);
    this.view = clamped(this.view, this.boxes.width, this.room);
    const drawn = this._painter.paint(this, { width, height, ratio });
    Object.assign(this.canvas.dataset, { left: this.view.left, right: this.view.right, top: this.view.top, drawn });
    this._told.looked(this);
    if (this._moving !== null) this.changed();
  }

  _advance(now) {
    if (this._moving === null) return;
    const { from, to, since } = this._moving;
    const share = Math.min(1, Math.max(0, (now - since) / MOVE_MS));
    this.view = share < 1 ? between(from, to, 1 - (1 - share) ** 3) : to;
    if (share === 1) this._moving = null;
  }
}
