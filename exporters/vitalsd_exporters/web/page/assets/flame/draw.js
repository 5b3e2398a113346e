/*
Paints what is in a window onto a canvas: an axis, and a row of boxes for each depth. What is narrower than a pixel is
painted together with what is beside it, so a frame costs what is on the screen.
*/

import { plain } from '../words.js';
import { axisWords, placeWords } from './tell.js';
import { marks } from './view.js';

/** Pixels of a row, and of the axis above all rows. */
export const ROW = 19;
export const AXIS = 22;

const GAP = 1;
const MARKED = 3;
/** Of the screen: narrower boxes are painted as one with what is beside them. */
const MERGED_PIXELS = 1.5;
const INSET = 5;
const FONT_PIXELS = 12;
const SMALL_PIXELS = 11;
const LEAST_TEXT = 26;
const MARK_PIXELS = 110;
const CARRIES_ON = '…';
const MOST_FITTED = 20_000;

/** One for each canvas: it knows how wide texts are. */
export class Painter {
  constructor(canvas) {
    this._context = canvas.getContext('2d', { alpha: false });
    this._fitted = new Map();
    this._names = new Map();
  }

  /** All of it, at this size in pixels of the page and with so many of the screen for each. */
  paint(scene, { width, height, ratio }) {
    const context = this._context;
    context.setTransform(ratio, 0, 0, ratio, 0, 0);
    context.fillStyle = scene.palette.paper;
    context.fillRect(0, 0, width, height);
    const { boxes, view } = scene;
    if (!(boxes.width > 0)) return 0;
    const scale = width / (view.right - view.left);
    const frame = { scene, width, scale, least: MERGED_PIXELS / ratio / scale, drawn: 0 };
    const shown = Math.ceil((height - AXIS) / ROW);
    context.textBaseline = 'middle';
    const first = Math.floor(view.top);
    for (let row = first; row <= Math.min(boxes.rows.length - 1, first + shown); row += 1) {
      this._row(frame, row, AXIS + (row - view.top) * ROW);
    }
    this._outlines(frame);
    this._axis(frame);
    return frame.drawn;
  }

  _row(frame, row, y) {
    const { scene, width, scale, least } = frame;
    const { boxes, view, palette } = scene;
    boxes.within(row, view.left, view.right, least, (box, end, isMany) => {
      const x = Math.max(0, (boxes.begin[box] - view.left) * scale);
      const right = Math.min(width, (end - view.left) * scale);
      const wide = Math.max(right - x, least * scale);
      const called = boxes.called[box];
      this._context.fillStyle = this._fill(scene, called);
      this._context.fillRect(x, y, wide > 3 ? wide - GAP : wide, ROW - GAP);
      if (called === scene.chosen && box !== scene.selected && !isMany) this._mark(palette, x, y, wide);
      frame.drawn += 1;
      if (wide < LEAST_TEXT || isMany) return;
      const isQuiet = scene.matched !== null && scene.matched[called] !== 1;
      this._label(boxes.functions[called], { x, y, wide, palette, ink: isQuiet ? palette.faint : palette.ink });
    });
  }

  /** While somebody searches, what is not meant steps back. */
  _fill({ palette, boxes, matched }, called) {
    if (matched === null) return palette.of(boxes.functions[called]);
    return matched[called] === 1 ? palette.match : palette.quiet;
  }

  /** Of the function that is chosen, wherever it is. */
  _mark(palette, x, y, wide) {
    this._context.fillStyle = palette.mark;
    this._context.fillRect(x, y, Math.max(1, wide - GAP), MARKED);
  }

  _label(called, { x, y, wide, palette, ink }) {
    const context = this._context;
    context.font = `${FONT_PIXELS}px ${palette.mono}`;
    context.fillStyle = ink;
    const name = this._shown(called);
    const room = wide - 2 * INSET;
    const fitted = this._fit(name.name, room);
    if (fitted === '') return;
    const middle = y + (ROW - GAP) / 2 + 0.5;
    context.fillText(fitted, x + INSET, middle);
    if (fitted !== name.name || name.place === '') return;
    const used = context.measureText(fitted).width + 8;
    context.font = `${SMALL_PIXELS}px ${palette.mono}`;
    if (context.measureText(name.place).width > room - used) return;
    context.fillStyle = palette.faint;
    context.fillText(name.place, x + INSET + used, middle);
  }

  _shown(called) {
    let shown = this._names.get(called);
    if (shown === undefined) {
      shown = { name: plain(called.name), place: plain(placeWords(called)) };
      this._names.set(called, shown);
    }
    return shown;
  }

  /** As much of a text as there is room for, by whole characters. */
  _fit(text, room) {
    const key = `${Math.floor(room / 4)} ${text}`;
    let fitted = this._fitted.get(key);
    if (fitted === undefined) {
      fitted = this._cut(text, Math.floor(room / 4) * 4);
      if (this._fitted.size > MOST_FITTED) this._fitted.clear();
      this._fitted.set(key, fitted);
    }
    return fitted;
  }

  _cut(text, room) {
    const isWide = (piece) => this._context.measureText(piece).width > room;
    if (!isWide(text)) return text;
    const characters = [...text];
    let [low, high] = [0, characters.length];
    while (low < high) {
      const middle = (low + high + 1) >>> 1;
      if (isWide(characters.slice(0, middle).join('') + CARRIES_ON)) high = middle - 1;
      else low = middle;
    }
    return low < 2 ? '' : characters.slice(0, low).join('') + CARRIES_ON;
  }

  /** Around what is selected, all of its function, and what the pointer is at. */
  _outlines(frame) {
    const { scene } = frame;
    if (scene.hovered >= 0) this._outline(frame, scene.hovered, 1);
    if (scene.selected >= 0) this._outline(frame, scene.selected, 2.5);
  }

  _outline({ scene, width, scale }, box, thick) {
    const { boxes, view, palette } = scene;
    const context = this._context;
    const x = Math.max(-4, (boxes.begin[box] - view.left) * scale);
    const right = Math.min(width + 4, (boxes.end[box] - view.left) * scale);
    if (right < 0 || x > width) return;
    context.strokeStyle = palette.mark;
    context.lineWidth = thick;
    const y = AXIS + (boxes.row[box] - view.top) * ROW;
    context.strokeRect(x + thick / 2 - 0.5, y + thick / 2 - 0.5, Math.max(1, right - x - thick), ROW - GAP - thick + 1);
  }

  _axis({ scene, width, scale }) {
    const { view, palette, unit } = scene;
    const context = this._context;
    context.fillStyle = palette.paper;
    context.fillRect(0, 0, width, AXIS - 1);
    context.font = `${SMALL_PIXELS}px ${palette.mono}`;
    const axis = marks(view.left, view.right, Math.floor(width / MARK_PIXELS), unit === 'bytes' ? 1024 : 10);
    for (const at of axis.marks) {
      const x = (at - view.left) * scale;
      context.fillStyle = palette.line;
      context.fillRect(Math.round(x), 0, 1, AXIS - 1);
      context.fillStyle = palette.faint;
      context.fillText(axisWords(at, axis.step, unit), x + 4, AXIS / 2 - 1);
    }
  }
}
