/* What stands above a graph: which profile, which way, what to search for, nearer and further away. */

import { h, set, text } from '../dom.js';
import { count, plain } from '../words.js';
import { amount, share } from './tell.js';

const WAYS = [
  ['heavy', 'Heaviest first', 'Calls by the same path are one box, the heaviest on the left'],
  ['time', 'In time', 'From left to right as it was'],
  ['sandwich', 'Callers', 'One function: who calls it above, what it calls below'],
];
const UNTIMED = 'This file does not tell when its samples were taken';
const MOST_NAME = 80;

/** The tools; `act` has what each of them does: profile, way, own, search, jump, zoom, whole. */
export function tools(book, act) {
  const button = (title, words, click) => h('button', { type: 'button', title, on: { click } }, words);
  const ways = new Map(WAYS.map(([name, words, title]) => [name, button(title, words, () => act.way(name))]));
  const own = button('Leave out what is not the service’s own; it counts for who has called it', 'Own code only', act.own);
  const box = h('input', {
    ...{ type: 'search', placeholder: 'Search functions and files', 'aria-label': 'Search functions and files', autocomplete: 'off' },
    on: {
      input: () => act.search(box.value),
      keydown: (event) => {
        if (event.key === 'Enter') act.jump(event.shiftKey ? -1 : 1);
        if (event.key === 'Escape' && box.value !== '') {
          event.preventDefault();
          box.value = '';
          act.search('');
        }
      },
    },
  });
  const told = h('p', { class: 'told', role: 'status' });
  const before = button('The match before (N)', '‹', () => act.jump(-1));
  const after = button('The next match (n)', '›', () => act.jump(1));
  const nearer = button('Nearer (+)', '+', () => act.zoom(2));
  const further = button('Further away (-)', '−', () => act.zoom(1 / 2));
  const whole = button('All of it (0)', 'All', act.whole);
  for (const [each, label] of [[before, 'The match before'], [after, 'The next match'], [nearer, 'Nearer'], [further, 'Further away'], [whole, 'Show all']]) {
    set(each, 'aria-label', label);
  }
  const group = (label, ...children) => h('div', { class: 'flame-group', role: 'group', 'aria-label': label }, children);
  const element = h(
    'div',
    { class: 'bar-above' },
    chooser(book, act),
    group('Layout', ...ways.values()),
    own,
    h('div', { class: 'tools' }, told, box, group('Matches', before, after), group('Zoom', further, nearer, whole)),
  );

  return {
    element,
    box,
    /** Show what is chosen. */
    update({ profile, way, isOwn, hasOwn, isWhole, matches }) {
      for (const [name, each] of ways) set(each, 'aria-pressed', String(name === way));
      const timed = ways.get('time');
      timed.disabled = !profile.inTime;
      timed.title = profile.inTime ? WAYS[1][2] : UNTIMED;
      set(own, 'aria-pressed', String(isOwn));
      own.disabled = !hasOwn && !isOwn;
      whole.disabled = further.disabled = isWhole;
      before.disabled = after.disabled = !(matches?.places > 0);
      text(told, matches === null ? '' : matchWords(matches, profile));
    },
  };
}

function chooser(book, act) {
  if (book.profiles.length < 2) return null;
  const options = book.profiles.map((each, index) =>
    h('option', { value: index }, `${plain(each.name, MOST_NAME)} · ${amount(each.total, each.unit)}`),
  );
  const select = h('select', { 'aria-label': 'Profile', on: { change: () => act.profile(Number(select.value)) } }, options);
  select.value = String(book.first);
  return select;
}

function matchWords({ functions, spent, at, places }, { unit, total }) {
  if (functions === 0) return 'No match';
  const what = `${count(functions)} ${functions === 1 ? 'function' : 'functions'}, ${amount(spent, unit)} (${share(total > 0 ? spent / total : 0)})`;
  return at < 0 ? what : `${count(at + 1)} of ${count(places)}: ${what}`;
}
