/* What stands beside the pointer: the box that it is at, in words. A screen reader hears the line above the graph. */

import { fill, h, vary } from '../dom.js';
import { plain } from '../words.js';
import { boxAmounts, lineWords, originWords } from './tell.js';

const AWAY = 14;

/** The hint of a graph; `more(called)` has what the functions took in all, and their lines. */
export class Hint {
  constructor(graph, more) {
    this.element = h('div', { class: 'flame-hint', 'aria-hidden': 'true', hidden: true });
    this._graph = graph;
    this._more = more;
    this._box = -1;
  }

  show(box, x, y) {
    if (box < 0) {
      this.hide();
      return;
    }
    if (box !== this._box) this._write(box);
    this._box = box;
    this._graph.hover(box);
    this.element.hidden = false;
    const { clientWidth: width, clientHeight: height } = this._graph.element;
    const { offsetWidth: wide, offsetHeight: high } = this.element;
    vary(this.element, 'x', `${Math.max(0, Math.min(x + AWAY, width - wide))}px`);
    vary(this.element, 'y', `${y + AWAY + high > height ? Math.max(0, y - AWAY - high) : y + AWAY}px`);
  }

  hide() {
    this.element.hidden = true;
    this._box = -1;
    this._graph.hover(-1);
  }

  _write(box) {
    const { boxes, unit } = this._graph;
    const number = boxes.called[box];
    const called = boxes.functions[number];
    const { all, itself } = boxAmounts(boxes, box, unit);
    const { total, share, lines } = this._more(number);
    const seen = lineWords(lines, lines.reduce((sum, [, weight]) => sum + weight, 0));
    fill(
      this.element,
      h('strong', {}, plain(called.name, 300)),
      h('span', { class: 'flame-path' }, called.file === '' ? originWords(called) : plain(called.file, 300)),
      called.file === '' ? null : h('span', {}, originWords(called), seen ? `, lines ${seen}` : lines[0] ? `, line ${lines[0][0]}` : ''),
      itself === null
        ? h('span', {}, 'Calls it for ', h('b', {}, all))
        : h('span', {}, 'Here ', h('b', {}, all), ', of which itself ', h('b', {}, itself)),
      h('span', {}, 'Everywhere ', h('b', {}, `${total} (${share})`)),
    );
  }
}
