/* The rules of one worker: how many are in which state, and unfolded, each with its reason. */

import { fill, h } from './dom.js';
import { coded } from './parts.js';
import { stateOf } from './states.js';
import { count, plain } from './words.js';

/** In the order in which somebody looks for them. */
export const STATES = ['fired', 'watching', 'unavailable', 'quiet'];

const HEADS = ['Rule', 'State', 'Why'];

/** `1 fired, 2 watching, 15 quiet`. */
export function counted(rules) {
  return tally(rules)
    .map(([state, many]) => `${count(many)} ${state}`)
    .join(', ');
}

/** The group of the worker that this rule is of; what is folded is drawn when it is unfolded. */
export function ruleGroup({ target, worker }, open) {
  const where = plain(worker ? `${target}/${worker}` : `${target}, as a whole`);
  const states = h('span', { class: 'states' });
  const body = h('tbody', {});
  const heads = h(
    'tr',
    {},
    HEADS.map((title) => h('th', { scope: 'col' }, title)),
  );
  const table = h('table', {}, h('thead', {}, heads), body);
  const element = h(
    'details',
    { class: 'group', open, on: { toggle: () => draw() } },
    h('summary', {}, h('b', {}, where), ' ', states),
    h('div', { class: 'rows', tabindex: '0', role: 'region', 'aria-label': `Rules of ${where}` }, table),
  );
  let rules = [];
  let lines = [];
  let told = '';

  /** Rows that stay where they are have their words changed, and nothing else. */
  function draw() {
    if (!element.open) return;
    const names = rules.map(nameOf);
    if (names.join('\n') !== lines.map((each) => each.name).join('\n')) {
      lines = rules.map(line);
      fill(
        body,
        lines.map((each) => each.element),
      );
    }
    lines.forEach((each, at) => each.tell(plain(rules[at].reason, 1000)));
  }

  return {
    element,
    update(now) {
      rules = [...now].sort(byState);
      const said = counted(rules);
      if (said !== told)
        fill(
          states,
          tally(rules).map(([state, many]) => [stateOf(state, `${count(many)} ${state}`), ' ']),
        );
      told = said;
      draw();
    },
  };
}

function tally(rules) {
  return STATES.map((state) => [state, rules.filter((rule) => rule.state === state).length]).filter(
    ([, many]) => many > 0,
  );
}

function byState(one, other) {
  return STATES.indexOf(one.state) - STATES.indexOf(other.state) || one.rule.localeCompare(other.rule);
}

function nameOf(rule) {
  return `${rule.rule} ${rule.state}`;
}

function line(rule) {
  const reason = h('td', {});
  const element = h(
    'tr',
    {},
    h('th', { scope: 'row' }, plain(rule.rule).replaceAll('_', ' ')),
    h('td', {}, stateOf(rule.state)),
    reason,
  );
  let told = '';
  const tell = (words) => {
    if (words === told) return;
    told = words;
    fill(reason, coded(words));
  };
  return { name: nameOf(rule), element, tell };
}
