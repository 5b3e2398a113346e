/*
A table of any length: only the rows that the window shows are elements, so 5,000 cost what thirty do.

It is a real table to a screen reader: rows have their number among all, columns say how they are sorted, and arrows,
Home, End, Page Up and Page Down move from row to row. While somebody points at it or moves in it, rows keep their
places: a click must not land on what has just come there.
*/

import { fill, h, set, text, vary } from './dom.js';
import { count } from './words.js';

const SPARE = 6;
/* Rows beyond the window, so that scrolling shows no gap. */
const HOLD = 2500;
/* Milliseconds for which rows keep their places after the pointer has moved over them. */
const PAGE = 10;
const LETTERS = new Intl.Collator('en', { numeric: true });
const NOTHING = { resorted: () => {}, rowClass: () => '', group: () => 0, empty: 'There is nothing.' };

/**
 * A table: `columns` are `[{name, title, cell(row), sort(row), align, note, wide, grow}]`, `key(row)` tells rows apart,
 * `open(row)` goes where Enter and a click lead, `empty` is a sentence or a function of one.
 *
 * A cell is a string or `{text, class, href, title, bar, mark, press}`, or a list of these (`press` is called by its
 * button). `order` is `{name, down}` at first, and `resorted` is told of another. `wide` columns go where the window
 * is narrow, `grow` is cut to the room that is left. `group(row)` comes before any order, always upwards;
 * `rowClass(row)` is for the stylesheet.
 */
export function table(given) {
  const { label, columns, key, open, empty, order, resorted, rowClass, group } = { ...NOTHING, ...given };
  const state = {
    rows: [],
    order: order ?? { name: columns[0].name, down: false },
    active: null,
    moved: -Infinity,
  };
  const shown = new Map();
  const heads = columns.map((column) => head(column, sortBy));
  const before = spacer(columns.length);
  const after = spacer(columns.length);
  const body = h('tbody', {}, before, after);
  const grid = h('table', { 'aria-label': label }, h('thead', {}, h('tr', { 'aria-rowindex': 1 }, heads)), body);
  const nothing = h('p', { class: 'empty', hidden: true });
  const element = h(
    'div',
    { class: 'table', on: { scroll: draw, keydown: pressed, pointermove: held } },
    grid,
    nothing,
  );
  element.addEventListener('click', release, { capture: true });
  body.addEventListener('click', clicked);
  body.addEventListener('focusin', (event) => {
    state.active = placeOf(event.target)?.dataset.key ?? state.active;
  });
  const sized = new ResizeObserver(draw);
  sized.observe(element);
  let height = 34;

  /** Show these rows. */
  function update(rows) {
    state.rows = sorted(rows);
    set(grid, 'aria-rowcount', rows.length + 1);
    vary(element, 'rows', rows.length);
    nothing.hidden = rows.length > 0;
    grid.hidden = rows.length === 0;
    if (rows.length === 0) text(nothing, typeof empty === 'function' ? empty() : empty);
    draw();
  }

  function sorted(rows) {
    if (performance.now() - state.moved < HOLD && state.rows.length > 0) return inPlace(rows);
    const { name, down } = state.order;
    const by = columns.find((column) => column.name === name)?.sort ?? (() => 0);
    const keyed = rows.map((row, at) => ({ row, at, group: group(row), value: by(row) }));
    keyed.sort((a, b) => compare(a.group, b.group) || compare(a.value, b.value, down) || a.at - b.at);
    return keyed.map((each) => each.row);
  }

  /** Those that are there already where they are, and what is new below. */
  function inPlace(rows) {
    const places = new Map(state.rows.map((row, at) => [key(row), at]));
    const last = places.size;
    return [...rows].sort((a, b) => (places.get(key(a)) ?? last) - (places.get(key(b)) ?? last));
  }

  function sortBy(name) {
    const same = state.order.name === name;
    const first = columns.find((column) => column.name === name).align === 'right';
    state.order = { name, down: same ? !state.order.down : first };
    release();
    resorted(state.order);
    update(state.rows);
  }

  function draw() {
    columns.forEach((column, at) => {
      const its = state.order.name === column.name;
      set(
        heads[at],
        'aria-sort',
        its ? (state.order.down ? 'descending' : 'ascending') : column.sort ? 'none' : null,
      );
    });
    const top = Math.max(0, element.scrollTop);
    const first = Math.max(0, Math.floor(top / height) - SPARE);
    const last = Math.min(state.rows.length, Math.ceil((top + (element.clientHeight || 600)) / height) + SPARE);
    const focused = body.contains(document.activeElement) ? state.active : null;
    const wanted = new Map(
      state.rows.slice(first, last).map((row, at) => [String(key(row)), { row, at: first + at }]),
    );
    for (const [name, line] of shown) {
      if (wanted.has(name)) continue;
      line.element.remove();
      shown.delete(name);
    }
    if (!wanted.has(state.active)) state.active = wanted.keys().next().value ?? null;
    let next = before.nextSibling;
    for (const [name, { row, at }] of wanted) {
      if (!shown.has(name)) shown.set(name, line(name, columns));
      const its = shown.get(name);
      write(its, row, at, name);
      if (its.element !== next) body.insertBefore(its.element, next);
      else next = next.nextSibling;
    }
    vary(before, 'height', `${first * height}px`);
    vary(after, 'height', `${(state.rows.length - last) * height}px`);
    if (focused !== null && !body.contains(document.activeElement))
      shown.get(focused)?.element.focus({ preventScroll: true });
    measure();
  }

  function write(its, row, at, name) {
    its.row = row;
    set(its.element, 'aria-rowindex', at + 2);
    set(its.element, 'tabindex', name === state.active ? 0 : -1);
    const wanted = `${rowClass(row)} ${at % 2 ? 'odd' : ''}`.trim();
    if (its.element.className !== wanted) its.element.className = wanted;
    columns.forEach((column, number) => writeCell(its.cells[number], column.cell(row)));
  }

  /** Rows are all of one height, which the stylesheet and the reader's letters decide. */
  function measure() {
    const some = shown.values().next().value;
    const real = some?.element.getBoundingClientRect().height;
    if (real > 0 && Math.abs(real - height) > 0.5) {
      height = real;
      requestAnimationFrame(draw);
    }
  }

  function clicked(event) {
    const row = rowOf(event.target);
    if (row !== null && open && !event.target.closest('a, button') && String(getSelection()) === '') open(row);
  }

  function pressed(event) {
    if (event.target.closest('thead') || event.ctrlKey || event.metaKey || event.altKey) return;
    const at = state.rows.findIndex((row) => String(key(row)) === state.active);
    const to = {
      ArrowDown: at + 1,
      ArrowUp: at - 1,
      Home: 0,
      End: Infinity,
      PageDown: at + PAGE,
      PageUp: at - PAGE,
    }[event.key];
    if (to !== undefined) {
      event.preventDefault();
      held();
      go(Math.max(0, Math.min(state.rows.length - 1, to)));
    } else if (event.key === 'Enter' && at >= 0 && open && !event.target.closest('a, button')) {
      release();
      open(state.rows[at]);
    }
  }

  function go(at) {
    if (at < 0) return;
    state.active = String(key(state.rows[at]));
    const room = element.clientHeight - heads[0].offsetHeight;
    if (at * height < element.scrollTop) element.scrollTop = at * height;
    else if ((at + 1) * height > element.scrollTop + room) element.scrollTop = (at + 1) * height - room;
    draw();
    shown.get(state.active)?.element.focus({ preventScroll: true });
  }

  function held() {
    state.moved = performance.now();
  }

  /** What was aimed at is hit: rows may move again. */
  function release() {
    state.moved = -Infinity;
  }

  function rowOf(target) {
    return shown.get(placeOf(target)?.dataset.key)?.row ?? null;
  }

  return {
    element,
    update,
    end: () => sized.disconnect(),
  };
}

/** How two values are ordered: numbers by size, texts by letters; what is not known comes last either way. */
export function compare(a, b, down = false) {
  if (Array.isArray(a) && Array.isArray(b)) {
    for (let at = 0; at < Math.max(a.length, b.length); at += 1) {
      const order = compare(a[at], b[at], down);
      if (order !== 0) return order;
    }
    return 0;
  }
  const nothing = (value) => Number(value === null || value === undefined);
  if (nothing(a) || nothing(b)) return nothing(a) - nothing(b);
  const order = typeof a === 'number' && typeof b === 'number' ? a - b : LETTERS.compare(String(a), String(b));
  return down ? -order : order;
}

function head({ name, title, sort, align, note, wide, grow }, sortBy) {
  const classes = classOf({ name, align, wide, grow });
  const words = sort
    ? h('button', { type: 'button', title: note, on: { click: () => sortBy(name) } }, title)
    : title;
  return h('th', { scope: 'col', class: classes, title: sort ? null : note }, words);
}

function classOf({ name, align, wide, grow }) {
  return [align === 'right' && 'right', wide && 'wide', grow && 'grow', `col-${name}`].filter(Boolean).join(' ');
}

function line(name, columns) {
  const cells = columns.map((column) => ({ element: h('td', { class: classOf(column) }), told: null }));
  const element = h(
    'tr',
    { 'data-key': name, tabindex: -1 },
    cells.map((cell) => cell.element),
  );
  return { element, cells, row: null };
}

/** Nothing is touched of a cell that says what it said. */
function writeCell(cell, content) {
  const told =
    typeof content === 'string'
      ? content
      : JSON.stringify(content, (_, value) => (typeof value === 'function' ? String(value) : value));
  if (cell.told === told) return;
  cell.told = told;
  fill(cell.element, [content].flat().map(part));
}

/** A part of a cell, wherever it is to stand: `{text, class, href, title, bar, mark}`; a string is text. */
export function part(content) {
  if (content === null || content === undefined || typeof content !== 'object') return content;
  const { text: words, class: name, href, title, bar, mark, press } = content;
  if (press) return h('button', { type: 'button', class: name, title, on: { click: press } }, words);
  const said = href ? h('a', { class: name, href, title }, words) : h('span', { class: name, title }, words);
  if (bar === undefined || bar === null) return said;
  const drawn = h('span', { class: `bar ${mark ?? ''}`.trim(), 'aria-hidden': 'true' }, h('span', {}));
  vary(drawn, 'share', Math.max(0, Math.min(1, bar)));
  return [drawn, said];
}

function spacer(width) {
  return h('tr', { class: 'spacer', 'aria-hidden': 'true' }, h('td', { colspan: width }));
}

function placeOf(target) {
  return target.closest?.('tr[data-key]') ?? null;
}

/** `12 of 500 workers`, for above a table that is filtered. */
export function shownOf(some, all, one, more = `${one}s`) {
  const things = all === 1 ? one : more;
  return some === all ? `${count(all)} ${things}` : `${count(some)} of ${count(all)} ${things}`;
}
