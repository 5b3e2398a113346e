/* Which functions somebody means, how much was spent in them, and where they are. */

/**
 * By number of the function, 1 for each in whose name or place all of these words are; null where nothing is asked for.
 * Capitals count once somebody writes one.
 */
export function matching(functions, query) {
  const words = query.split(/\s+/).filter(Boolean);
  if (words.length === 0) return null;
  const asWritten = /\p{Lu}/u.test(query);
  const seen = (text) => (asWritten ? text : text.toLowerCase());
  return Uint8Array.from(functions, ({ name, file }) => {
    const text = seen(`${name} ${file}`);
    return words.every((word) => text.includes(seen(word))) ? 1 : 0;
  });
}

/** How many functions are meant, and what was taken while at least one of them was on the stack. */
export function spentIn(tree, matched) {
  const within = new Uint8Array(tree.from.length);
  let spent = 0;
  for (let call = 1; call < tree.from.length; call += 1) {
    within[call] = within[tree.from[call]] || matched[tree.called[call]];
    if (within[call]) spent += tree.self[call];
  }
  return { functions: matched.reduce((sum, each) => sum + each, 0), spent };
}

/** The boxes of what is meant, without those within one of them, the widest first. */
export function found(boxes, matched, most = 1000) {
  const within = new Uint8Array(boxes.row.length);
  const outermost = [];
  for (let box = 0; box < within.length; box += 1) {
    const from = boxes.from[box];
    const isWithin = from >= 0 && within[from] === 1;
    const isMeant = matched[boxes.called[box]] === 1;
    within[box] = isWithin || isMeant ? 1 : 0;
    if (isMeant && !isWithin) outermost.push(box);
  }
  const width = (box) => boxes.end[box] - boxes.begin[box];
  return outermost.sort((one, other) => width(other) - width(one) || one - other).slice(0, most);
}
