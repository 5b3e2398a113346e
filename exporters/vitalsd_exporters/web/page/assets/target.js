/*
One target, or one worker of it.
*/

import { h } from './dom.js';
import { plain } from './words.js';

/** Until it is ended. */
export function show(place, params, app) {
  app.title(plain(params.name));
  place.append(h('h1', {}, plain(params.name)));
  return () => {};
}
