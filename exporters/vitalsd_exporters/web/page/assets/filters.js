/* The filters of a list, kept in the query of the fragment, so that a link and the way back have them. Pure. */

/** The filters that a fragment has, of those that there are; empty for what is not filtered. */
export function readFilters(hash, names) {
  const query = new URLSearchParams(hash.includes('?') ? hash.slice(hash.indexOf('?') + 1) : '');
  return Object.fromEntries(names.map((name) => [name, query.get(name) ?? '']));
}

/** The fragment with these filters. */
export function withFilters(hash, filters) {
  const query = new URLSearchParams(Object.entries(filters).filter(([, value]) => value !== ''));
  const path = hash.includes('?') ? hash.slice(0, hash.indexOf('?')) : hash;
  return query.size > 0 ? `${path || '#/'}?${query}` : path || '#/';
}

/** Whether a row fits: every filter but `text` is the value of a field, and each word of `text` is somewhere in it. */
export function fits(row, filters, textOf) {
  for (const [name, wanted] of Object.entries(filters)) {
    if (name !== 'text' && wanted !== '' && String(row[name] ?? '') !== wanted) return false;
  }
  if (!filters.text) return true;
  const told = hay(row, textOf);
  return filters.text
    .toLowerCase()
    .split(/\s+/)
    .every((word) => told.includes(word));
}

/** The different values of a field, in order, with the one that is filtered by though no row has it. */
export function valuesOf(rows, name, wanted = '') {
  const found = new Set(wanted ? [wanted] : []);
  for (const row of rows) if (row[name]) found.add(String(row[name]));
  return [...found].sort((one, other) => one.localeCompare(other, 'en', { numeric: true }));
}

const told = new WeakMap();

/** What a row says, in small letters; asked for at each letter that somebody types, so it is kept. */
function hay(row, textOf) {
  let text = told.get(row);
  if (text === undefined) {
    text = textOf(row).toLowerCase();
    told.set(row, text);
  }
  return text;
}
