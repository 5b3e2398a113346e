/*
A list of things that the agent has found or made: filters in the address, a table, and older ones on demand.

The stream tells what is of now; what lies longer ago is asked of the API when somebody wants it, a thousand at a time
at the most.
*/

import { fill, h } from './dom.js';
import { fits, valuesOf } from './filters.js';
import { table } from './table.js';
import { toolbar } from './toolbar.js';
import { count, plain } from './words.js';

/** As many as the API tells at once. */
export const MOST_ASKED = 1000;
const AGES_MILLISECONDS = 10_000;

/**
 * Shows it until it is ended. Of `what`: `topic` (of `app.live`, and the field of an answer), `title`, `choices`
 * ([{name, title, any, words, values}]), `columns`, `rowClass`, `addressOf(row)`, `saidOf(row)` (what words are looked
 * for in), `olderPath(filters)`, `goesOn(row)` (whether it is of now, which the stream alone knows), `none` (the sentence
 * of an empty list), `sum(rows)` (what stands behind the counts), `tools` and `above` (elements).
 */
export function showList(place, app, what) {
  app.title(what.title);
  const older = new Map();
  const told = new Set(); // those of them that the stream has told too, and takes back
  const many = h('p', { class: 'told' });
  const note = h('p', { class: 'hint', role: 'status' });
  const label = `Which ${what.topic}`;
  const bar = toolbar({ label, choices: what.choices, changed: () => draw() });
  const list = table({
    label: what.title,
    columns: what.columns,
    key: (row) => row.id,
    open: (row) => app.go(what.addressOf(row)),
    rowClass: what.rowClass ?? (() => ''),
    empty: () => (app.live.state === 'connecting' ? 'Asking the agent…' : what.none),
  });
  const more = h('button', { type: 'button', on: { click: () => askForOlder() } }, 'Show older ones');

  function rows() {
    const now = app.live[what.topic];
    for (const [id, row] of older) {
      if (now.has(id)) {
        older.set(id, now.get(id));
        told.add(id);
      } else if (told.has(id) && what.goesOn(row)) older.delete(id);
    }
    return [...new Map([...older, ...now]).values()];
  }

  function draw() {
    const all = rows();
    for (const { name, values } of what.choices) bar.offer(name, values ?? valuesOf(all, name, bar.filters[name]));
    const shown = all.filter((row) => fits(row, bar.filters, what.saidOf));
    many.textContent = `${count(shown.length)} of ${count(all.length)}, ${what.sum(all)}`;
    list.update(shown);
  }

  async function askForOlder() {
    more.disabled = true;
    note.textContent = 'Asking for older ones …';
    try {
      const answer = await app.api.get(what.olderPath(bar.filters));
      const before = rows().length;
      for (const each of answer[what.topic]) older.set(each.id, each);
      draw();
      note.textContent = answer.problem
        ? plain(answer.problem, 1000)
        : found(rows().length - before, answer[what.topic].length);
    } catch (error) {
      note.textContent = plain(error.message, 1000);
    } finally {
      more.disabled = false;
    }
  }

  fill(
    place,
    h(
      'div',
      { class: 'bar-above' },
      h('h1', {}, what.title),
      many,
      what.tools && h('div', { class: 'tools' }, what.tools),
    ),
    what.above,
    bar.element,
    list.element,
    h('footer', { class: 'more' }, more, note),
  );
  draw();
  const offs = [what.topic, 'state'].map((topic) => app.live.on(topic, draw));
  const ages = setInterval(draw, AGES_MILLISECONDS);
  return () => {
    for (const off of offs) off();
    clearInterval(ages);
    bar.end();
    list.end();
  };
}

function found(added, told) {
  if (told >= MOST_ASKED)
    return `${count(added)} more; the agent tells ${count(MOST_ASKED)} at a time: choose a target or a kind for others.`;
  return added === 0 ? 'There are no older ones.' : `${count(added)} more.`;
}
