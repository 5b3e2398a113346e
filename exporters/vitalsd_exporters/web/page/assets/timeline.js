/* What happened to an incident and when: opened, worse, found again, captured, told to people, remedied, over. */

import { h } from './dom.js';
import { coded } from './parts.js';
import { ago, clock, plain } from './words.js';

const EVENTS = {
  opened: 'Opened',
  reopened: 'Opened again',
  worse: 'Got worse',
  evidence: 'Found again',
  captured: 'Captured',
  notified: 'People were told',
  remedy: 'Remedy',
  resolved: 'Resolved',
};
const SEVERITIES = ['critical', 'warning', 'info'];
const A_SENTENCE = 1000;
const REPEATED = / \(\d+ times since [^()]*\)(?=\.?$)/;
const GROWER = /; what grows most is .*?(?=\.?$)/;

/** What an entry says; the sentence of the incident, which stands above, is not said again. */
export function textOf(entry, incident) {
  const text = String(entry.text ?? '');
  const cut = text.indexOf(': ');
  const severity = text.slice(0, cut);
  const same =
    cut > 0 &&
    SEVERITIES.includes(severity) &&
    bare(text.slice(cut + 2)) === bare(without(incident.summary, incident.advice));
  return plain(same ? severity : text, A_SENTENCE);
}

/** A text in pieces, of which those that name a capture are links: `{text}` or `{text, href}`. */
export function pieces(text, captures) {
  return text
    .split(/\b([0-9a-z]{8,16})\b/)
    .filter((each) => each !== '')
    .map((each) =>
      captures.includes(each) ? { text: each, href: `#/captures/${encodeURIComponent(each)}` } : { text: each },
    );
}

/** The whole of it, the latest last. */
export function timeline(incident, now) {
  const captures = incident.captures ?? [];
  return h(
    'ol',
    { class: 'timeline' },
    (incident.timeline ?? []).map((entry) =>
      h(
        'li',
        { class: Object.hasOwn(EVENTS, entry.event) ? `event-${entry.event}` : '' },
        h(
          'time',
          { title: plain(entry.at) },
          clock(entry.at, now),
          h('span', { class: 'quiet' }, ` ${ago(entry.at, now)}`),
        ),
        h(
          'span',
          { class: 'event' },
          Object.hasOwn(EVENTS, entry.event) ? EVENTS[entry.event] : plain(entry.event),
        ),
        h(
          'span',
          { class: 'what' },
          pieces(textOf(entry, incident), captures).map(({ text, href }) =>
            href ? h('a', { href }, text) : coded(text),
          ),
        ),
      ),
    ),
  );
}

function bare(summary) {
  return String(summary ?? '')
    .replace(GROWER, '')
    .replace(REPEATED, '');
}

function without(summary, advice) {
  return advice ? String(summary ?? '').replace(`; ${advice}`, '') : summary;
}
