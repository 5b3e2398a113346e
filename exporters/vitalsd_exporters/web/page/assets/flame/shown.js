/*
What is made of one profile, kept while somebody looks at it from several sides: sums, layouts, lines. The first look at
a side makes it, the next one has it.
*/

import { inTime, leftHeavy, sandwich } from './layout.js';
import { ORIGINS } from './origin.js';
import { functionsOf, linesOf, treeOf } from './tree.js';

/** One profile; with `own`, only the service's own functions. */
export class Shown {
  constructor(profile, own) {
    this.profile = profile;
    this.tree = treeOf(profile, { own });
    this.sums = functionsOf(this.tree);
    this.functions = profile.places.functions;
    this.lines = linesOf(profile);
    this.functions.forEach((called, number) => {
      called.line = this.lines[number][0]?.[0] ?? 0;
    });
    this.hasOwn = this.functions.some(({ origin }) => origin === 'own');
    this._layouts = new Map();
  }

  /** The boxes, one of three ways. */
  boxes(way, subject) {
    const name = way === 'sandwich' ? `${way} ${subject}` : way;
    let boxes = this._layouts.get(name);
    if (boxes === undefined) this._layouts.set(name, (boxes = this._laidOut(way, subject)));
    return boxes;
  }

  /** The function that somebody would ask for: of the service's own the one that took most itself, else of all. */
  get heaviest() {
    const { self } = this.sums;
    const best = (numbers) => numbers.reduce((most, number) => (self[number] > self[most] ? number : most), numbers[0] ?? -1);
    const ran = [...this.functions.keys()].filter((number) => this.sums.total[number] > 0);
    const own = ran.filter((number) => this.functions[number].origin === 'own' && self[number] > 0);
    return best(own.length > 0 ? own : ran);
  }

  /** What was taken in the code of each kind itself. */
  get byOrigin() {
    const sums = new Map(ORIGINS.map((origin) => [origin, 0]));
    this.sums.self.forEach((value, number) => {
      const { origin } = this.functions[number];
      sums.set(origin, sums.get(origin) + value);
    });
    return sums;
  }

  _laidOut(way, subject) {
    if (way === 'time') return inTime(this.profile, this.tree);
    return way === 'sandwich' ? sandwich(this.tree, subject) : leftHeavy(this.tree);
  }
}
