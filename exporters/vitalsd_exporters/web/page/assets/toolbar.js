/* The bar of filters above a list: a choice for each field and a field for words, kept in the fragment. */

import { fill, h } from './dom.js';
import { readFilters, withFilters } from './filters.js';
import { plain } from './words.js';

const PAUSE_MILLISECONDS = 120;

/**
 * A bar of `choices` ([{name, title, any, words}]) and words to look for. `changed(filters)` is called when somebody
 * chooses; `offer(name, values)` says what there is to choose from; `filters` are those of now.
 */
export function toolbar({ label, choices, changed }) {
  const filters = readFilters(location.hash, [...choices.map(({ name }) => name), 'text']);
  const selects = new Map();
  const offered = new Map();
  let timer = 0;

  const change = (name, value) => {
    filters[name] = value;
    history.replaceState(history.state, '', withFilters(location.hash, filters));
    changed(filters);
  };
  const soon = (value) => {
    clearTimeout(timer);
    timer = setTimeout(() => change('text', value), PAUSE_MILLISECONDS);
  };
  const choice = ({ name, title }) => {
    const select = h('select', {
      id: `filter-${name}`,
      on: { change: (event) => change(name, event.target.value) },
    });
    selects.set(name, select);
    return h('label', { class: 'choice', for: `filter-${name}` }, h('span', {}, title), select);
  };
  const words = h('input', {
    type: 'search',
    id: 'filter-text',
    value: filters.text,
    on: { input: (event) => soon(event.target.value.trim()) },
  });
  const element = h(
    'form',
    { class: 'toolbar', role: 'search', 'aria-label': label, on: { submit: (event) => event.preventDefault() } },
    choices.map(choice),
    h('label', { class: 'choice words', for: 'filter-text' }, h('span', {}, 'Words'), words),
  );

  const offer = (name, values) => {
    const key = values.join('\n');
    if (offered.get(name) === key) return;
    offered.set(name, key);
    const { any = 'all', words: said = {} } = choices.find((each) => each.name === name);
    fill(
      selects.get(name),
      [['', any], ...values.map((value) => [value, said[value] ?? plain(value).replaceAll('_', ' ')])].map(
        ([value, text]) => h('option', { value }, text),
      ),
    );
    selects.get(name).value = filters[name];
  };
  return { element, filters, offer, end: () => clearTimeout(timer) };
}
