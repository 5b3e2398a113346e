/* All of a layout in a strip, and which part of it the graph shows: drag it, or click to go somewhere. */

import { h } from '../dom.js';

const LEAST_ROW = 1;
const MOST_ROW = 4;

/** The strip of a graph; it is a picture to look at, and what it does the keyboard does in the graph. */
export class Overview {
  constructor(graph) {
    this.element = h('canvas', { class: 'flame-overview', 'aria-hidden': 'true' });
    this._graph = graph;
    this._context = this.element.getContext('2d', { alpha: false });
    this._kept = document.createElement('canvas');
    this._about = [];
    this.element.addEventListener('pointerdown', (event) => this._held(event));
    this.element.addEventListener('pointermove', (event) => event.buttons === 1 && this._moved(event));
  }

  /** Draw it; the boxes themselves only when they are others than before. */
  look() {
    const { boxes, view, palette, matched } = this._graph;
    const [width, height] = [this.element.clientWidth, this.element.clientHeight];
    if (width === 0 || palette === null) return;
    const ratio = devicePixelRatio || 1;
    const about = [boxes, palette, matched, width, height, ratio];
    const [wide, high] = [Math.round(width * ratio), Math.round(height * ratio)];
    if (about.some((each, index) => each !== this._about[index])) {
      this._about = about;
      for (const canvas of [this.element, this._kept]) [canvas.width, canvas.height] = [wide, high];
      paint(this._kept.getContext('2d', { alpha: false }), this._graph, wide, high);
    }
    const context = this._context;
    context.drawImage(this._kept, 0, 0);
    const [left, right] = [view.left, view.right].map((at) => Math.round((at / (boxes.width || 1)) * wide));
    context.fillStyle = palette.veil;
    context.fillRect(0, 0, left, high);
    context.fillRect(right, 0, wide - right, high);
    context.strokeStyle = palette.mark;
    context.lineWidth = ratio;
    context.strokeRect(left + ratio / 2, ratio / 2, Math.max(ratio, right - left - ratio), high - ratio);
  }

  _held(event) {
    this.element.setPointerCapture(event.pointerId);
    this._moved(event);
  }

  _moved({ offsetX }) {
    const { boxes, view } = this._graph;
    const half = (view.right - view.left) / 2;
    const at = (offsetX / Math.max(1, this.element.clientWidth)) * boxes.width;
    this._graph.moveTo(at - half, at + half);
  }
}

function paint(context, { boxes, palette, matched }, wide, high) {
  context.fillStyle = palette.paper;
  context.fillRect(0, 0, wide, high);
  if (!(boxes.width > 0)) return;
  const tall = Math.min(MOST_ROW, Math.max(LEAST_ROW, high / boxes.rows.length));
  const scale = wide / boxes.width;
  for (let row = 0; row < boxes.rows.length && row * tall < high; row += 1) {
    boxes.within(row, 0, boxes.width, 1 / scale, (box, end) => {
      const called = boxes.called[box];
      const meant = matched === null ? palette.of(boxes.functions[called]) : palette.match;
      context.fillStyle = matched === null || matched[called] === 1 ? meant : palette.quiet;
      const x = boxes.begin[box] * scale;
      context.fillRect(x, row * tall, Math.max(1, end * scale - x), Math.max(1, tall));
    });
  }
}
