/* Which reader a file is for: told from what is in it, since its name may be anybody's. */

import { Unreadable } from './form.js';
import { isCensus, isSites, readCensus, readSites } from './sites.js';
import { isSpeedscope, readSpeedscope } from './speedscope.js';
import { isCpuProfile, isHeapProfile, readCpuProfile, readHeapProfile } from './v8.js';

const READERS = [
  [isSpeedscope, readSpeedscope],
  [isCpuProfile, readCpuProfile],
  [isHeapProfile, readHeapProfile],
  [isSites, readSites],
  [isCensus, readCensus],
];

/** The profiles in a file, by its text; throws Unreadable with the sentence that says what is wrong with it. */
export function read(text) {
  if (text.trim() === '') throw new Unreadable('This file is empty.');
  const document = parse(text);
  const reader = READERS.find(([isOne]) => isOne(document))?.[1];
  if (reader === undefined) {
    throw new Unreadable('This is no profile: neither of speedscope, nor of V8, nor the sites of a memory capture.');
  }
  return reader(document);
}

function parse(text) {
  let document;
  try {
    document = JSON.parse(text);
  } catch (error) {
    throw new Unreadable(`This file is broken, or cut: it is no JSON (${error.message.slice(0, 120)}).`);
  }
  return typeof document === 'object' && document !== null ? document : {};
}
