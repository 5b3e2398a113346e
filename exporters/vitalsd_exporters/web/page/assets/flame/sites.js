/*
What memory captures tell beside their recordings: the sites of what was allocated and kept (`top-sites.json`), and the
types of all objects that live (`census.json`), which no stack has made.
*/

import { book, listOf, numberOf, Paths, Places, profile, textOf } from './form.js';

/** Whether a document tells of sites. */
export const isSites = (document) => Array.isArray(document.top_sites);

/** Whether a document is a census. */
export const isCensus = (document) => Array.isArray(document.types);

/** Bytes and allocations by site; each has all of its own on the one stack that the file tells of it. */
export function readSites(document) {
  const places = new Places();
  const paths = new Paths();
  const found = document.top_sites.map((site) => ({
    path: listOf(site?.stack, 'The stack of a site').reduceRight(
      (path, frame) => paths.into(path, places.at(frame?.function, frame?.file, frame?.line)),
      0,
    ),
    bytes: numberOf(site.bytes, 'The size of a site'),
    allocations: numberOf(site.allocations, 'The count of a site'),
  }));
  for (const [index, each] of found.entries()) {
    const { function: name, file, line } = document.top_sites[index];
    if (each.path === 0) each.path = paths.into(0, places.at(name, file, line));
  }
  const notes = ['Each site is drawn with the stack that has allocated most of it.'];
  if (document.sites > found.length) notes.push(`The file tells of ${found.length} of ${Number(document.sites)} sites.`);
  return book(weighed(found, { bytes: 'Bytes', allocations: 'Allocations' }, { places, paths }), { notes, first: 0 });
}

/** Bytes and objects by type, and the tasks that wait by what they wait in. */
export function readCensus(document) {
  const places = new Places();
  const paths = new Paths();
  const found = document.types.map((row) => ({
    path: paths.into(0, places.at(row?.type, '', 0, 'type')),
    bytes: numberOf(row?.bytes, 'The size of a type'),
    objects: numberOf(row?.count, 'The count of a type'),
  }));
  const profiles = weighed(found, { bytes: 'Bytes by type', objects: 'Objects by type' }, { places, paths });
  const tasks = Array.isArray(document.tasks) ? document.tasks : [];
  if (tasks.length > 0) profiles.push(...weighed(...waiting(tasks)));
  const notes = ['A census tells of types: nobody calls them, so there is one row.'];
  if (Number(document.stride) > 1) notes.push(`One part in ${Number(document.stride)} was looked at; the rest is reckoned.`);
  return book(profiles, { notes, first: 0 });
}

function waiting(tasks) {
  const places = new Places();
  const paths = new Paths();
  const found = tasks.map((row) => {
    const task = paths.into(0, places.at(row?.coroutine, row?.file, row?.line));
    const at = row?.waits_at;
    const path = at ? paths.into(task, places.at(textOf(at.function), at.file, at.line)) : task;
    return { path, tasks: numberOf(row?.count, 'The count of a coroutine') };
  });
  return [found, { tasks: 'Tasks that wait' }, { places, paths }];
}

/** A profile for each way to weigh the same. */
function weighed(found, ways, { places, paths }) {
  return Object.entries(ways).map(([unit, name]) =>
    profile({
      name,
      unit,
      places,
      paths,
      samples: Int32Array.from(found, (each) => each.path),
      weights: Float64Array.from(found, (each) => Math.max(0, each[unit])),
      inTime: false,
    }),
  );
}
