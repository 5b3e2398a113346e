/*
The rules: of each worker, what each rule sees there and why it has or has not fired; what cannot judge says what it
lacks.

They are asked of the API each few seconds while somebody looks; a worker's rules are drawn when it is unfolded.
*/

import { fill, h, text } from './dom.js';
import { fits, valuesOf } from './filters.js';
import { stateOf } from './states.js';
import { toolbar } from './toolbar.js';
import { count, plain } from './words.js';

const EACH_MILLISECONDS = 5000;
const FEW = 3;
const STATES = ['fired', 'watching', 'unavailable', 'quiet'];
const SAY = {
  fired: 'fired',
  watching: 'watching, and waits for more',
  unavailable: 'unavailable',
  quiet: 'quiet',
};
const CHOICES = [
  { name: 'state', title: 'State', words: SAY },
  { name: 'rule', title: 'Rule' },
  { name: 'target', title: 'Target' },
];

/** Shows them, until it is ended. */
export function show(place, params, app) {
  app.title('Rules');
  const many = h('p', { class: 'aside' });
  const problem = h('p', { class: 'problem', role: 'alert' });
  const stage = h('div', { class: 'rules' });
  const groups = new Map();
  const state = { rules: [], timer: 0, over: false };
  const bar = toolbar({ label: 'Which rules', choices: CHOICES, changed: () => draw() });

  const draw = () => {
    for (const { name } of CHOICES)
      bar.offer(name, name === 'state' ? STATES : valuesOf(state.rules, name, bar.filters[name]));
    const shown = state.rules.filter((row) => fits(row, bar.filters, saidOf));
    const grouped = byWorker(shown);
    text(many, `${count(shown.length)} of ${count(state.rules.length)}: ${counted(shown)}`);
    for (const [key, group] of groups) {
      if (!grouped.has(key)) {
        group.element.remove();
        groups.delete(key);
      }
    }
    let last = null;
    for (const [key, rows] of grouped) {
      const group = groups.get(key) ?? newGroup(rows[0], grouped.size <= FEW);
      groups.set(key, group);
      group.update(rows);
      if (group.element.previousElementSibling !== last || group.element.parentNode !== stage)
        stage.insertBefore(group.element, last === null ? stage.firstChild : last.nextSibling);
      last = group.element;
    }
  };
  const look = async () => {
    if (!document.hidden) {
      try {
        const { rules } = await app.api.get('/api/v1/rules');
        if (state.over) return;
        state.rules = rules;
        text(problem, '');
        draw();
      } catch (error) {
        text(problem, plain(error.message, 1000));
      }
    }
    if (!state.over) state.timer = setTimeout(look, EACH_MILLISECONDS);
  };

  fill(
    place,
    h('header', { class: 'head' }, h('h1', {}, 'Rules'), many),
    h('p', { class: 'aside' }, 'What the agent looks for in each worker, and why it has or has not found it.'),
    bar.element,
    problem,
    stage,
  );
  look();
  return () => {
    state.over = true;
    clearTimeout(state.timer);
    bar.end();
  };
}

/** Rules by worker, in the order of names; those of a target as a whole come before its workers. */
export function byWorker(rules) {
  const found = new Map();
  for (const rule of rules) {
    const key = JSON.stringify([rule.target, rule.worker]);
    if (!found.has(key)) found.set(key, []);
    found.get(key).push(rule);
  }
  const order = ([, [one]], [, [other]]) =>
    compared(one.target, other.target) || compared(one.worker, other.worker);
  return new Map([...found].sort(order));
}

/** `1 fired, 2 watching, 15 quiet`. */
export function counted(rules) {
  return STATES.map((state) => [state, rules.filter((rule) => rule.state === state).length])
    .filter(([, many]) => many > 0)
    .map(([state, many]) => `${count(many)} ${state}`)
    .join(', ');
}

function compared(one, other) {
  return one.localeCompare(other, 'en', { numeric: true });
}

function newGroup(first, open) {
  const body = h('tbody', {});
  const states = h('span', { class: 'states' });
  const where = first.worker ? `${first.target}/${first.worker}` : `${first.target}, as a whole`;
  const element = h(
    'details',
    { class: 'group', on: { toggle: () => unfold() } },
    h('summary', {}, h('b', {}, plain(where)), ' ', states),
    h(
      'div',
      { class: 'rows', tabindex: '0', role: 'region', 'aria-label': `Rules of ${plain(where)}` },
      h(
        'table',
        {},
        h(
          'thead',
          {},
          h(
            'tr',
            {},
            ['Rule', 'State', 'Why'].map((title) => h('th', { scope: 'col' }, title)),
          ),
        ),
        body,
      ),
    ),
  );
  let rows = [];
  let drawn = '';
  const unfold = () => {
    const told = element.open ? JSON.stringify(rows) : '';
    if (!element.open || told === drawn) return;
    drawn = told;
    fill(body, [...rows].sort(byState).map(line));
  };
  element.open = open;
  return {
    element,
    update(now) {
      rows = now;
      const said = STATES.map((state) => [state, rows.filter((rule) => rule.state === state).length]).filter(
        ([, many]) => many > 0,
      );
      fill(
        states,
        said.map(([state, many]) => [stateOf(state, `${count(many)} ${state}`), ' ']),
      );
      unfold();
    },
  };
}

function byState(one, other) {
  return STATES.indexOf(one.state) - STATES.indexOf(other.state) || compared(one.rule, other.rule);
}

function line(rule) {
  return h(
    'tr',
    {},
    h('th', { scope: 'row' }, plain(rule.rule).replaceAll('_', ' ')),
    h('td', {}, stateOf(rule.state)),
    h('td', { class: 'words' }, plain(rule.reason, 1000)),
  );
}

function saidOf(rule) {
  return [rule.rule, rule.target, rule.worker, rule.state, rule.reason].join(' ');
}
