/*
One worker as it is now: its figures with the last ten minutes of each, its memory over a day, and its loops.
*/

import { lines, sparkline } from './chart.js';
import { forecast, isUsed } from './columns.js';
import { fill, h, section, text } from './dom.js';
import { between, tone } from './marks.js';
import { table } from './table.js';
import { timesOf, trailOf } from './trail.js';
import { UNKNOWN, bytes, count, duration, many, plain, share } from './words.js';

const DAY_HOURS = 24;
const AHEAD = 6 * 3600 * 1000;
/* How far a forecast is drawn. */
const HISTORY_EVERY = 60_000;

/** Everything of a worker that is live; `take` is handed what the API tells of it. */
export function workerParts(name, slot, app) {
  const { live } = app;
  const cards = {
    delay: card('Delay p99', 'of what one callback in a hundred waits, in the last minute'),
    busy: card('Busy', 'of the time of its busiest loop'),
    cpu: card('CPU', 'of one processor'),
    memory: card('Memory', 'its own: anonymous and swapped out'),
  };
  const chart = h('div', { class: 'card' });
  const loops = loopsTable();
  let history = null;

  function draw() {
    const row = live.workers.get(`${name}/${slot}`);
    if (row === undefined) return;
    const delay =
      row.state === 'stalled'
        ? { text: `stalled ${duration(row.stalled_seconds)}`, class: 'critical' }
        : between(row.delay_p99_seconds);
    tell(
      cards.delay,
      delay,
      trailOf(name, slot, 'delay'),
      row.stalls === null ? '' : `${many(row.stalls, 'stall')} in the last minute`,
      0.01,
    );
    tell(cards.busy, { text: share(row.busy_share) }, trailOf(name, slot, 'busy'), many(row.loops, 'loop'), 1);
    tell(cards.cpu, { text: share(row.cpu_share) }, trailOf(name, slot, 'cpu'), '', 1);
    const used =
      row.limit_bytes === null
        ? 'no limit'
        : row.limit_share === null
          ? `the limit is ${bytes(row.limit_bytes)}`
          : `${share(row.limit_share)} of ${bytes(row.limit_bytes)} ${isUsed(row)}`;
    const going = forecast(row, live.now()).text;
    const said = going === UNKNOWN ? used : `${going}; ${used}`;
    tell(
      cards.memory,
      { text: bytes(row.memory_bytes), class: tone(row.limit_share) },
      trailOf(name, slot, 'memory'),
      said,
      row.limit_bytes ?? 0,
    );
  }

  let drawn = '';
  function drawChart() {
    const row = live.workers.get(`${name}/${slot}`);
    const points = history?.points ?? [];
    const trail = trailOf(name, slot, 'memory');
    const recent = timesOf(trail).map((time, at) => [time, trail[at]]);
    const first = recent.find(([, value]) => value !== null)?.[0] ?? Infinity;
    const earlier = points
      .map((each) => [Date.parse(each.at), each.memory_high_bytes])
      .filter(([time]) => time < first);
    const all = [...earlier, ...recent.filter(([time]) => time >= first)];
    if (all.length < 2 || row === undefined)
      return fill(chart, h('p', { class: 'hint' }, 'It is drawn once there are two readings of it.'));
    const now = JSON.stringify([all.length, all.at(-1), row.limit_bytes, row.exhausted_at]);
    if (now === drawn) return undefined;
    drawn = now;
    const ahead = forecastOf(row, all.at(-1));
    const label = `Memory of worker ${plain(slot, 20)}: ${bytes(row.memory_bytes)} now, ${forecast(row, live.now()).text}.`;
    return fill(
      chart,
      lines({ series: [{ name: 'its own', points: all }], limit: row.limit_bytes, forecast: ahead, label }),
      history?.problem && h('p', { class: 'hint' }, plain(history.problem, 300)),
    );
  }

  async function askHistory() {
    try {
      history = await app.api.get(
        `/api/v1/targets/${encodeURIComponent(name)}/history?worker=${encodeURIComponent(slot)}&hours=${DAY_HOURS}`,
      );
    } catch (error) {
      history = { points: [], problem: error.message };
    }
    drawChart();
  }

  const asking = setInterval(() => document.hidden || askHistory(), HISTORY_EVERY);
  const drawing = setInterval(() => document.hidden || (draw(), drawChart()), 3000);
  const off = live.on('workers', draw);
  draw();
  askHistory();
  return {
    element: h(
      'div',
      { class: 'cards figures' },
      Object.values(cards).map((each) => each.element),
    ),
    more: [
      section('Loops', '', loops.element),
      section('Memory', 'the highest of each minute of the last day', chart),
    ],
    take: (_, worker) => loops.take(worker),
    end() {
      clearInterval(asking);
      clearInterval(drawing);
      off();
      loops.end();
    },
  };
}

function card(title, note) {
  const figure = h('p', { class: 'figure' });
  const spark = h('div', { class: 'sparking' });
  const hint = h('p', { class: 'hint' });
  return {
    title,
    figure,
    spark,
    hint,
    element: h(
      'section',
      { class: 'card', 'aria-label': title },
      h('h3', { title: note }, title),
      figure,
      spark,
      hint,
    ),
  };
}

function tell({ title, figure, spark, hint }, said, trail, words, most) {
  text(figure, said.text);
  figure.className = `figure ${said.class ?? ''}`;
  text(hint, words);
  if (trail.length > 1) fill(spark, sparkline(trail, { label: `${title}, the last minutes`, most }));
}

/** To where it meets the limit, or as far as is drawn. */
function forecastOf({ growth_bytes_per_second: growth, exhausted_at: at, limit_bytes: limit }, [time, value]) {
  if (growth === null || growth <= 0 || value === null || (at === null && limit === null)) return [];
  const until = Math.min(at === null ? Infinity : Date.parse(at), time + AHEAD);
  return until > time
    ? [
        [time, value],
        [until, value + (growth * (until - time)) / 1000],
      ]
    : [];
}

/** Each loop of the worker, with what it is stalled in. */
function loopsTable() {
  const list = table({
    label: 'Loops',
    columns: [
      { name: 'name', title: 'Loop', cell: (loop) => plain(loop.name, 40), sort: (loop) => loop.name },
      {
        name: 'flavour',
        title: 'Seen by',
        cell: (loop) => plain(loop.flavour ?? 'the observer', 20),
        sort: (loop) => loop.flavour,
      },
      { name: 'now', title: 'Now', cell: nowOf, grow: true },
      {
        name: 'p99',
        title: 'Delay p99',
        align: 'right',
        cell: (loop) => between(loop.recent?.delay_p99_between_seconds),
        sort: (loop) => loop.recent?.delay_p99_between_seconds?.[0],
      },
      {
        name: 'worst',
        title: 'Worst delay',
        note: 'Since it began',
        align: 'right',
        cell: (loop) => duration(loop.delay_max_seconds),
        sort: (loop) => loop.delay_max_seconds,
      },
      {
        name: 'busy',
        title: 'Busy',
        align: 'right',
        cell: (loop) => ({ text: share(loop.recent?.busy_share ?? null), bar: loop.recent?.busy_share ?? null }),
        sort: (loop) => loop.recent?.busy_share,
      },
      {
        name: 'stalls',
        title: 'Stalls',
        note: 'Since it began, with the seconds of all',
        align: 'right',
        cell: (loop) => `${count(loop.stalls)} (${duration(loop.stall_seconds)})`,
        sort: (loop) => loop.stalls,
      },
      {
        name: 'ready',
        title: 'Ready',
        note: 'Callbacks that wait for their turn',
        align: 'right',
        cell: (loop) => count(loop.ready_callbacks ?? null),
        sort: (loop) => loop.ready_callbacks,
      },
    ],
    key: (loop) => loop.name,
    empty: 'None is seen: what is missing, below, says why.',
  });
  list.element.classList.add('short');
  return {
    element: list.element,
    end: list.end,
    take(worker) {
      const seen = worker?.probe?.loops ?? (worker?.observed ? [{ name: 'main', ...worker.observed }] : []);
      list.update(seen);
    },
  };
}

function nowOf({ current_stall: stall, running }) {
  if (!stall)
    return running === false ? { text: 'does not run', class: 'faint' } : { text: 'on time', class: 'state up' };
  const frame = stall.stacks?.[0]?.frames?.[0];
  const where = frame ? ` in ${plain(frame.function, 80)} (${plain(frame.file, 80)}:${frame.line})` : '';
  return { text: `■ stalled ${duration(stall.seconds)}${where}`, class: 'state stalled' };
}
