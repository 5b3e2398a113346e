/*
The colour of a box tells whose code it is, as in the flame graphs of the agent; a package has a shade of its own, and so
has each function among the service's. The hues are in style.css, for the light and the dark.
*/

import { ORIGINS } from './origin.js';

const HUE_SPREAD = 15;
const LIGHT_SPREAD = 7;

/** What a canvas is painted with, as the style sheet has it for this element now. */
export class Palette {
  constructor(element) {
    const style = getComputedStyle(element);
    const value = (name) => style.getPropertyValue(name).trim();
    this._hues = new Map(ORIGINS.map((origin) => [origin, value(`--flame-${origin}`).split(/[\s,]+/).map(parseFloat)]));
    this._known = new Map();
    this.ink = value('--flame-ink');
    this.faint = value('--flame-faint');
    this.paper = value('--flame-paper');
    this.line = value('--flame-line');
    this.quiet = value('--flame-quiet');
    this.match = value('--flame-match');
    this.mark = value('--flame-mark');
    this.veil = value('--flame-veil');
    this.mono = value('--flame-mono');
  }

  /** Of a function, always the same. */
  of(called) {
    let colour = this._known.get(called);
    if (colour === undefined) this._known.set(called, (colour = this._mixed(called)));
    return colour;
  }

  _mixed({ name, origin, package: from }) {
    const [hue, saturation, lightness] = this._hues.get(origin);
    const chance = hashOf(from || name);
    const turned = (hue + (chance % HUE_SPREAD) - (HUE_SPREAD - 1) / 2 + 360) % 360;
    const paler = lightness + ((chance >>> 8) % LIGHT_SPREAD) - (LIGHT_SPREAD - 1) / 2;
    return `hsl(${turned} ${saturation}% ${paler}%)`;
  }
}

/** A number for a text, always the same (FNV-1a). */
export function hashOf(text) {
  let hash = 0x811c9dc5;
  for (let index = 0; index < text.length; index += 1) hash = Math.imul(hash ^ text.charCodeAt(index), 0x01000193);
  return (hash ^ (hash >>> 15)) >>> 0;
}
