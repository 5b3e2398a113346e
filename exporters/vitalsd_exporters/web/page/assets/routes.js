/*
Which view a fragment leads to. Parts are encoded, so a name may hold anything.
*/

const ROUTES = [
  { first: '', view: 'fleet', section: '', names: [] },
  { first: 'targets', view: 'target', section: '', names: ['name', 'slot'], least: 1 },
  { first: 'incidents', view: 'incidents', section: 'incidents', names: [] },
  { first: 'incidents', view: 'incident', section: 'incidents', names: ['id'], least: 1 },
  { first: 'captures', view: 'captures', section: 'captures', names: [] },
  { first: 'captures', view: 'capture', section: 'captures', names: ['id'], least: 1 },
  { first: 'captures', view: 'viewer', section: 'captures', names: ['id', 'file'], least: 2 },
  { first: 'rules', view: 'rules', section: 'rules', names: [] },
];

/** The view, the section it belongs to, and its parameters; null where a fragment leads nowhere. */
export function routeOf(hash) {
  const [path, query = ''] = hash.replace(/^#?\/?/, '').split('?');
  let parts;
  try {
    parts = path
      .split('/')
      .filter((part) => part !== '')
      .map(decodeURIComponent);
  } catch {
    return null; // a percent sign that says nothing
  }
  const [first = '', ...rest] = parts;
  const fits = ({ first: its, names, least = 0 }) =>
    its === first && rest.length >= least && rest.length <= names.length;
  const route = ROUTES.find(fits);
  if (route === undefined) return null;
  const params = Object.fromEntries(route.names.map((name, at) => [name, rest[at] ?? null]));
  return { view: route.view, section: route.section, params: { ...params, query: new URLSearchParams(query) } };
}
