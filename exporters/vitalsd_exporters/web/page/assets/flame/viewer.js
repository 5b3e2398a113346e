/*
The parts of the viewer, put together: what somebody does in one is seen in the others. A layout is made when it is
looked at; 100,000 samples are read and drawn in less than a second, in this thread (`python -m bench viewer`).
*/

import { fill, h, text } from '../dom.js';
import { functionTable } from './functions.js';
import { listen } from './gestures.js';
import { Graph } from './graph.js';
import { Hint } from './hint.js';
import { legend } from './legend.js';
import { Overview } from './overview.js';
import { found, matching, spentIn } from './search.js';
import { Shown } from './shown.js';
import { amount, boxSentence, functionSentence, share } from './tell.js';
import { tools } from './tools.js';

const HELP =
  'Click goes to a box, and a click on an outer one comes back; a double click shows callers. The wheel, + and − zoom, ' +
  'dragging moves, 0 shows all. Arrows go from box to box, Enter goes to one, Shift and Enter shows callers. / searches, ' +
  'n and N go from match to match.';
const NOTHING = 'Nothing was seen in this profile: none of its code ran whenever it was looked at.';
const POINT = 'Point at a box, or select one, to see what it took.';
const UNTIMED = 'It does not tell when its samples were taken, so there is no layout in time.';

/** A book of profiles on the screen: `element`, from `begin()` to `end()`. */
export class Viewer {
  constructor(book, name) {
    this._book = book;
    this._state = { index: book.first, isOwn: false, way: 'heavy', subject: -1, query: '' };
    this._matches = null;
    this._kept = new Map();
    this._tools = tools(book, this._acts());
    this._legend = legend();
    this._told = h('p', { class: 'flame-told', role: 'status' });
    this._around = h('button', { type: 'button', on: { click: () => this._turnAround() } }, 'Callers and calls');
    this._graph = new Graph({
      label: `Flame graph of ${name}`,
      describedBy: 'flame-help',
      selected: (box) => this._selected(box),
      looked: () => this._looked(),
    });
    this._overview = new Overview(this._graph);
    this._hint = new Hint(this._graph, (called) => this._everywhere(called));
    this._graph.element.append(this._hint.element);
    this._table = functionTable({ open: (called) => this._choose(called), chosen: () => this._graph.chosen });
    this._notes = h('div', {});
    this._nothing = h('p', { class: 'empty' }, NOTHING);
    this._parts = h(
      'div',
      { class: 'flame-parts' },
      h('div', { class: 'flame-seen' }, this._overview.element, this._graph.element),
      this._table.element,
    );
    this.element = h(
      'section',
      { class: 'flame', 'aria-label': `Profile ${name}`, on: { keydown: (event) => this._pressed(event) } },
      this._tools.element,
      this._legend.element,
      h('div', { class: 'flame-line' }, this._told, this._around),
      this._nothing,
      this._parts,
      this._notes,
      h('p', { class: 'hint', id: 'flame-help' }, HELP),
    );
    this._unlisten = listen(this._graph, { around: () => this._turnAround(), hint: this._hint });
  }

  begin() {
    this._change({});
  }

  end() {
    this._unlisten();
    this._table.end();
    this._graph.end();
  }

  _acts() {
    return {
      profile: (index) => this._change({ index, subject: -1 }),
      own: () => this._change({ isOwn: !this._state.isOwn }),
      way: (way) => this._change({ way }),
      search: (query) => this._search(query),
      jump: (step) => this._jump(step),
      zoom: (factor) => this._graph.zoom(factor, undefined, { slowly: true }),
      whole: () => this._graph.showWhole(),
    };
  }

  get _profile() {
    return this._book.profiles[this._state.index];
  }

  get _shown() {
    const { index, isOwn } = this._state;
    const key = `${index} ${isOwn}`;
    if (!this._kept.has(key)) this._kept.set(key, new Shown(this._profile, isOwn));
    return this._kept.get(key);
  }

  /** Another profile, another way to lay it out, another function in the middle: what was chosen stays chosen. */
  _change(wanted) {
    const { places } = this._profile;
    Object.assign(this._state, wanted);
    const isSame = places === this._profile.places;
    const chosen = isSame ? this._graph.chosen : -1;
    const { _state: state, _profile: profile } = this;
    if (state.way === 'time' && !profile.inTime) state.way = 'heavy';
    if (state.way === 'sandwich') state.subject = this._subject(chosen);
    const isEmpty = !(profile.total > 0);
    this._nothing.hidden = !isEmpty;
    this._parts.hidden = isEmpty;
    this._graph.show(this._shown.boxes(state.way, state.subject), profile.unit);
    this._graph.choose(chosen);
    this._legend.update(this._shown.byOrigin, profile);
    const notes = profile.inTime ? this._book.notes : [...this._book.notes, UNTIMED];
    fill(this._notes, notes.map((note) => h('p', { class: 'hint' }, note)));
    this._search(state.query);
    this._tell();
  }

  /** The function in the middle: what is chosen, else what was, else what somebody would ask for. */
  _subject(chosen) {
    const isThere = (called) => called >= 0 && this._shown.sums.total[called] > 0;
    return [chosen, this._state.subject].find(isThere) ?? this._shown.heaviest;
  }

  _turnAround() {
    if (this._graph.chosen >= 0) this._change({ way: 'sandwich', subject: this._graph.chosen });
  }

  _selected(box) {
    this._graph.choose(box < 0 ? -1 : this._graph.boxes.called[box]);
    this._tell();
    this._list();
  }

  /** A function by its row in the table: its heaviest box is where somebody wants to be. */
  _choose(called) {
    if (this._state.way === 'sandwich') {
      this._graph.choose(called);
      this._change({ subject: called });
      return;
    }
    const only = Uint8Array.from(this._shown.functions, (_, number) => (number === called ? 1 : 0));
    const [box = -1] = found(this._graph.boxes, only);
    this._graph.select(box);
    if (box >= 0) this._graph.zoomOnto(box);
  }

  _search(query) {
    this._state.query = query;
    const matched = matching(this._shown.functions, query);
    this._graph.search(matched);
    this._matches = matched && {
      ...spentIn(this._shown.tree, matched),
      boxes: found(this._graph.boxes, matched),
      at: -1,
    };
    this._list(matched);
    this._update();
  }

  _jump(step) {
    const { boxes, at } = this._matches ?? { boxes: [] };
    if (boxes.length === 0) return;
    this._matches.at = at < 0 && step < 0 ? boxes.length - 1 : (at + step + boxes.length) % boxes.length;
    const box = boxes[this._matches.at];
    this._graph.select(box);
    this._graph.reveal(box);
    this._update();
  }

  /** The keys that are of all of the viewer, wherever in it somebody is; not while they write. */
  _pressed(event) {
    const isWriting = event.target.closest('input, select') !== null;
    if (isWriting || event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.key === '/') this._tools.box.focus();
    else if (event.key === 'n') this._jump(1);
    else if (event.key === 'N') this._jump(-1);
    else return;
    event.preventDefault();
  }

  _looked() {
    this._overview.look();
    this._update();
  }

  _list(matched = this._graph.matched) {
    const { functions, sums } = this._shown;
    this._table.update({ functions, sums, matched, unit: this._profile.unit, whole: this._profile.total });
  }

  _update() {
    const { way, isOwn } = this._state;
    const matches = this._matches && { ...this._matches, places: this._matches.boxes.length };
    const { profile, hasOwn } = this._shown;
    this._tools.update({ profile, way, isOwn, hasOwn, isWhole: this._graph.isWhole, matches });
  }

  /** What is selected, in words. */
  _tell() {
    const { selected, chosen, boxes, unit } = this._graph;
    const { way, subject } = this._state;
    this._around.hidden = chosen < 0 || (way === 'sandwich' && subject === chosen);
    const meant = chosen >= 0 || way !== 'sandwich' ? chosen : subject;
    if (selected >= 0) text(this._told, boxSentence(boxes, selected, unit));
    else text(this._told, meant >= 0 ? this._everywhereSentence(meant) : POINT);
  }

  _everywhereSentence(called) {
    const { functions, sums, profile } = this._shown;
    const of = (value) => `${amount(value, profile.unit)} (${share(value / profile.total)})`;
    return `Everywhere: ${functionSentence(functions[called], of(sums.self[called]), of(sums.total[called]))}`;
  }

  /** What a function took wherever it was called, for the hint. */
  _everywhere(called) {
    const { sums, lines, profile } = this._shown;
    const total = sums.total[called];
    return { total: amount(total, profile.unit), share: share(total / profile.total), lines: lines[called] };
  }
}
