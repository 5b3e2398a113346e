/* What people do to a graph, by mouse, by finger and by keyboard. */

const CLICK_PIXELS = 4;
const WHEEL = 0.0018;
const PINCH = 0.012;
const LINE_PIXELS = 16;
const STEP = 1.5;
const SIDE = 0.2;

/** Have a graph listen; `around(box)` is asked for callers and callees. Returns how to end it. */
export function listen(graph, { around, hint }) {
  const { canvas } = graph;
  const drag = new Drag(graph, hint);
  const handlers = {
    pointerdown: (event) => drag.begin(event),
    pointermove: (event) => drag.move(event),
    pointerup: (event) => drag.end(event),
    pointercancel: () => drag.cancel(),
    pointerleave: () => hint.hide(),
    dblclick: (event) => {
      const box = graph.boxAt(event.offsetX, event.offsetY);
      if (box >= 0) around(box);
    },
    wheel: (event) => wheel(graph, event, hint),
    keydown: (event) => pressed(graph, event, around),
    focus: () => graph.changed(),
    blur: () => graph.changed(),
  };
  for (const [name, handler] of Object.entries(handlers)) canvas.addEventListener(name, handler, { passive: false });
  return () => {
    for (const [name, handler] of Object.entries(handlers)) canvas.removeEventListener(name, handler);
  };
}

/** A pointer that is down: near where it began it is a click, further away it takes the graph along. */
class Drag {
  constructor(graph, hint) {
    this._graph = graph;
    this._hint = hint;
    this._from = null;
  }

  begin({ button, pointerId, offsetX, offsetY }) {
    if (button !== 0 || this._graph.boxes === null) return;
    this._graph.canvas.setPointerCapture(pointerId);
    this._from = { x: offsetX, y: offsetY, view: this._graph.view, isDrag: false };
  }

  move({ offsetX, offsetY, pointerType }) {
    if (this._from === null) {
      if (pointerType === 'mouse') this._hint.show(this._graph.boxAt(offsetX, offsetY), offsetX, offsetY);
      return;
    }
    const { x, y, view } = this._from;
    if (Math.hypot(offsetX - x, offsetY - y) > CLICK_PIXELS) this._from.isDrag = true;
    if (!this._from.isDrag) return;
    this._hint.hide();
    this._graph.drag(view, offsetX - x, offsetY - y);
  }

  end({ offsetX, offsetY }) {
    const { isDrag } = this._from ?? { isDrag: true };
    this._from = null;
    if (isDrag) return;
    const box = this._graph.boxAt(offsetX, offsetY);
    this._graph.select(box);
    if (box >= 0) this._graph.zoomOnto(box);
  }

  cancel() {
    this._from = null;
    this._hint.hide();
  }
}

/** Up and down is nearer and further away, where there is anything further; the page has what is left. */
function wheel(graph, event, hint) {
  if (graph.boxes === null) return;
  const pixels = event.deltaMode === WheelEvent.DOM_DELTA_LINE ? LINE_PIXELS : 1;
  const isAside = Math.abs(event.deltaX) > Math.abs(event.deltaY);
  if (graph.isWhole && (isAside || event.deltaY > 0)) return;
  event.preventDefault();
  hint.hide();
  if (isAside) graph.move((event.deltaX * pixels) / graph.canvas.clientWidth, 0);
  else {
    const factor = Math.exp(-event.deltaY * pixels * (event.ctrlKey ? PINCH : WHEEL));
    graph.zoom(factor, graph.pointAt(event.offsetX));
  }
}

function pressed(graph, event, around) {
  if (graph.boxes === null || event.ctrlKey || event.metaKey || event.altKey) return;
  const act = (event.shiftKey ? MOVES[event.key] : undefined) ?? KEYS[event.key];
  if (act === undefined) return;
  event.preventDefault();
  event.stopPropagation();
  act(graph, around);
}

const MOVES = {
  ArrowLeft: (graph) => graph.move(-SIDE, 0),
  ArrowRight: (graph) => graph.move(SIDE, 0),
  ArrowUp: (graph) => graph.move(0, -1),
  ArrowDown: (graph) => graph.move(0, 1),
  Enter: (graph, around) => graph.selected >= 0 && around(graph.selected),
};

const KEYS = {
  ArrowLeft: (graph) => choose(graph, beside(graph, -1)),
  ArrowRight: (graph) => choose(graph, beside(graph, 1)),
  ArrowUp: (graph) => choose(graph, widest(graph, -1)),
  ArrowDown: (graph) => choose(graph, widest(graph, 1)),
  PageUp: (graph) => graph.move(0, -graph.room.shown / 2),
  PageDown: (graph) => graph.move(0, graph.room.shown / 2),
  '+': (graph) => graph.zoom(STEP, undefined, { slowly: true }),
  '=': (graph) => graph.zoom(STEP, undefined, { slowly: true }),
  '-': (graph) => graph.zoom(1 / STEP, undefined, { slowly: true }),
  0: (graph) => graph.showWhole(),
  Escape: (graph) => {
    graph.select(-1);
    graph.showWhole();
  },
  Enter: (graph) => graph.selected >= 0 && graph.zoomOnto(graph.selected),
};

function choose(graph, box) {
  const chosen = graph.selected < 0 ? first(graph) : box;
  if (chosen < 0) return;
  graph.select(chosen);
  graph.reveal(chosen);
}

/** Where somebody begins who has selected nothing: the widest box of the uppermost row that is shown. */
function first(graph) {
  const { boxes, view } = graph;
  return heaviest(boxes, boxes.rows[Math.floor(view.top)] ?? [], view.left, view.right);
}

function beside({ boxes, selected }, step) {
  if (selected < 0) return -1;
  const row = boxes.rows[boxes.row[selected]];
  return row[row.indexOf(selected) + step] ?? -1;
}

/** In the row above or below, what has most of the same part. */
function widest({ boxes, selected }, step) {
  if (selected < 0) return -1;
  return heaviest(boxes, boxes.rows[boxes.row[selected] + step] ?? [], boxes.begin[selected], boxes.end[selected]);
}

function heaviest(boxes, row, left, right) {
  let [best, most] = [-1, 0];
  for (const box of row) {
    const shared = Math.min(right, boxes.end[box]) - Math.max(left, boxes.begin[box]);
    if (shared > most) [best, most] = [box, shared];
  }
  return best;
}
