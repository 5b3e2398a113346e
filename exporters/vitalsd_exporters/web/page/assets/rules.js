/*
The rules: of each worker, what each rule sees there and why it has or has not fired; what cannot judge says what it
lacks.

They are asked of the API each few seconds while somebody looks.
*/

import { fill, h, text } from './dom.js';
import { fits, valuesOf } from './filters.js';
import { STATES, counted, ruleGroup } from './rulegroup.js';
import { toolbar } from './toolbar.js';
import { count, plain } from './words.js';

const EACH_MILLISECONDS = 5000;
const SELDOM_MILLISECONDS = 30_000;
const MANY = 2000;
/* Rules of a hundred workers are half a megabyte. */
const FEW = 80;
/* So many are unfolded. */
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
  const many = h('p', { class: 'told' });
  const problem = h('p', { class: 'error', role: 'alert' });
  const stage = h('div', { class: 'groups' });
  const groups = new Map();
  const state = { rules: [], timer: 0, over: false };
  const bar = toolbar({ label: 'Which rules', choices: CHOICES, changed: () => draw(true) });

  const draw = (unfold = false) => {
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
      const group = groups.get(key) ?? ruleGroup(rows[0], shown.length <= FEW);
      if (unfold) group.element.open = shown.length <= FEW;
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
    if (!state.over)
      state.timer = setTimeout(look, state.rules.length > MANY ? SELDOM_MILLISECONDS : EACH_MILLISECONDS);
  };

  fill(
    place,
    h('div', { class: 'bar-above' }, h('h1', {}, 'Rules'), many),
    h('p', { class: 'hint' }, 'What the agent looks for in each worker, and why it has or has not found it.'),
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

function compared(one, other) {
  return one.localeCompare(other, 'en', { numeric: true });
}

function saidOf(rule) {
  return [rule.rule, rule.target, rule.worker, rule.state, rule.reason].join(' ');
}
