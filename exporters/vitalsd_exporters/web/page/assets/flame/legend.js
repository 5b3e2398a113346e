/* What the colours mean, and how much was spent in the code of each kind: often that is the answer already. */

import { fill, h } from '../dom.js';
import { ORIGIN_WORDS } from './origin.js';
import { amount, share } from './tell.js';

const LEAST = 1e-6;

/** What the colours mean, and how much was spent in the code of each kind. */
export function legend() {
  const element = h('ul', { class: 'flame-legend', 'aria-label': 'What was taken in code of each kind itself' });
  return {
    element,
    update(byOrigin, { total, idle, unit }) {
      const rows = [...byOrigin].filter(([, value]) => value > 0).map(([origin, value]) =>
        h('li', {}, h('span', { class: `flame-swatch ${origin}` }), ORIGIN_WORDS[origin], ' ', h('b', {}, share(value / total))),
      );
      const sum = h('li', {}, 'All ', h('b', {}, amount(total, unit)));
      const others = total - [...byOrigin.values()].reduce((all, value) => all + value, 0);
      const rest = others > total * LEAST ? h('li', {}, 'outside own code ', h('b', {}, share(others / total))) : null;
      const waiting = idle > 0 ? h('li', {}, 'Nothing ran ', h('b', {}, amount(idle, unit))) : null;
      fill(element, sum, waiting, rows, rest);
    },
  };
}
