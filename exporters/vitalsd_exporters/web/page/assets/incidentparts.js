/* The parts of an incident's page, each made of what the API tells. */

import { captureButton, whyNot } from './ask.js';
import { askedBy, isActive, sentenceOf, stateText, summaryOf, whereOf } from './captured.js';
import { h } from './dom.js';
import { evidence } from './evidence.js';
import { moment, place as placeOf } from './figures.js';
import { readable, viewerOf } from './files.js';
import { whatOf } from './incidents.js';
import { coded, facts, part, sentence } from './parts.js';
import { runbook } from './runbook.js';
import { severityOf, stateOf } from './states.js';
import { count, duration, many, plain } from './words.js';

const A_SENTENCE = 2000;

/** What the tab is called. */
export function nameOf(incident) {
  return `${whatOf(incident)} of ${whereOf(incident)}`;
}

/** Where one is, how bad it is, and the sentence. */
export function head(incident) {
  const { summary, advice } = incident;
  const said = advice ? String(summary).replace(`; ${advice}`, '') : summary;
  return [
    h(
      'p',
      { class: 'crumbs' },
      h('a', { href: '#/incidents' }, 'Incidents'),
      ' / ',
      severityOf(incident.severity),
      ' ',
      stateOf(incident.state),
      ' ',
      h('code', {}, whatOf(incident)),
    ),
    sentence(plain(said, A_SENTENCE)),
  ];
}

/** What to do about it. */
export function act(incident, app) {
  const { advice } = incident;
  const about = { target: incident.target, worker: incident.worker };
  return [
    advice ? h('p', { class: 'advice' }, h('b', {}, 'What to do: '), coded(plain(advice, A_SENTENCE))) : null,
    h(
      'div',
      { class: 'actions' },
      incident.state === 'open' ? captureButton(app, about) : null,
      h('span', { class: 'hint' }, 'Runbook: ', runbook(incident, app.live.agent?.runbooks)),
    ),
    incident.state === 'open' ? whyNot(app) : null,
  ];
}

/** The cause with what decided it, and where. */
export function decided({ cause, culprit, evidence: { reason } = {} }) {
  if (!cause && !reason) return [];
  const named = cause ? h('b', {}, plain(cause).replaceAll('_', ' ')) : null;
  return [
    h('h2', {}, cause ? 'Cause' : 'Told by'),
    h(
      'p',
      { class: 'cause' },
      named,
      named && culprit ? [' in ', h('code', { title: plain(culprit.file, 1000) }, placeOf(culprit))] : null,
      named && reason ? ': ' : null,
      reason ? coded(plain(reason, A_SENTENCE)) : null,
    ),
  ];
}

/** The facts of it. */
export function about(incident, now) {
  const { culprit } = incident;
  const where = incident.worker
    ? `#/targets/${encodeURIComponent(incident.target)}/${encodeURIComponent(incident.worker)}`
    : `#/targets/${encodeURIComponent(incident.target)}`;
  const over = incident.resolved_at;
  const last = (incident.timeline ?? []).at(-1);
  const rows = [
    [
      incident.worker ? 'worker' : 'target',
      h('a', { href: where }, plain(incident.worker ? `${incident.target}/${incident.worker}` : incident.target)),
    ],
    ['culprit', culprit ? h('span', { title: plain(culprit.file, 1000) }, placeOf(culprit)) : ''],
    ['opened', moment(incident.opened_at, now)],
    [
      'found',
      incident.count > 1 ? `${count(incident.count)} times, last ${moment(incident.updated_at, now)}` : 'once',
    ],
    ['lasted', over ? duration((Date.parse(over) - Date.parse(incident.opened_at)) / 1000) : ''],
    [
      'resolved',
      over ? `${moment(over, now)}${last?.event === 'resolved' ? `: ${plain(last.text, A_SENTENCE)}` : ''}` : '',
    ],
  ];
  return [facts(rows.filter(([, told]) => told !== ''))];
}

/** The evidence: what it was at comes before what was measured of it, as that is where somebody has to look. */
export function proven(incident, summaries, now) {
  const parts = evidence(incident, summaries, now);
  if (parts.length === 0) return [];
  const stacks = parts.filter((each) => each.frames !== undefined);
  const others = parts.filter((each) => each.frames === undefined);
  const [first, ...more] = stacks.map((each) => part(each, { culprit: incident.culprit }));
  const words = many(more.length, 'other stack');
  const folded = more.length > 0 ? h('details', { class: 'file' }, h('summary', {}, words), more) : null;
  return [h('h2', {}, 'Evidence'), first, folded, ...others.map((each) => part(each))];
}

/** What was captured for it, and what is in that. */
export function taken(captures, now) {
  if (captures.length === 0) return [];
  return [
    h('h2', {}, 'Captured'),
    ...captures.map((each) =>
      h(
        'section',
        { class: 'taken' },
        h(
          'h3',
          {},
          h('a', { href: `#/captures/${encodeURIComponent(each.id)}` }, `${each.kind} capture`),
          ' ',
          stateOf(each.state, stateText(each)),
          h('span', { class: 'quiet' }, ` asked for by ${askedBy(each)}`),
        ),
        h('p', {}, sentenceOf(each)),
        isActive(each) ? null : viewers(each),
        summaryOf(each, now).map((told) => (told.facts ? folded(told) : part(told, { level: 4 }))),
      ),
    ),
  ];
}

function folded({ heading, facts: rows }) {
  return h('details', { class: 'file' }, h('summary', {}, heading), facts(rows));
}

function viewers(capture) {
  const files = readable(capture);
  return files.length === 0
    ? null
    : h(
        'p',
        {},
        files.map(({ name, title }) => h('a', { class: 'button', href: viewerOf(capture, name) }, title)),
      );
}
