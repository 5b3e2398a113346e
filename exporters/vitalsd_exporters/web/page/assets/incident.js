/*
One incident in full: the sentence, what to do, what decided the cause, the stack, what was measured, what was captured
and what happened when. What has not changed is not drawn again, so what somebody has unfolded or marked stays.
*/

import { captureButton, whyNot } from './ask.js';
import { askedBy, isActive, sentenceOf, stateText, summaryOf } from './captured.js';
import { fill, h, text } from './dom.js';
import { evidence } from './evidence.js';
import { readable, viewerOf } from './files.js';
import { moment, place as placeOf } from './figures.js';
import { whatOf } from './incidents.js';
import { coded, facts, part, sentence } from './parts.js';
import { pageOf } from './runbook.js';
import { severityOf, stateOf } from './states.js';
import { timeline } from './timeline.js';
import { count, duration, plain } from './words.js';

const A_SENTENCE = 2000;
const PAUSE_MILLISECONDS = 500;
const AGES_MILLISECONDS = 30_000;

/** Shows one, until it is ended. */
export function show(place, { id }, app) {
  app.title(`Incident ${id}`);
  const places = Object.fromEntries(
    ['head', 'act', 'cause', 'facts', 'evidence', 'captures', 'timeline'].map((name) => [
      name,
      h('section', { class: `section its-${name}` }),
    ]),
  );
  const raw = h('pre', { class: 'raw', tabindex: '0' });
  const json = h('details', { class: 'json' }, h('summary', {}, 'As JSON'), raw);
  const drawn = new Map();
  const state = { incident: null, captures: new Map(), asked: false, again: false, timer: 0, over: false };

  /** Draws a place where what it is made of differs from what was drawn last. */
  const section = (name, made, key) => {
    const text = JSON.stringify(key);
    if (drawn.get(name) === text) return;
    drawn.set(name, text);
    fill(places[name], ...made());
  };
  const draw = () => {
    const { incident } = state;
    if (incident === null) return;
    const now = app.live.now();
    const captures = [...state.captures.values()].filter((each) => each.incident === id);
    const told = captures.map((each) => each.summary ?? {});
    const minute = Math.floor(now / AGES_MILLISECONDS);
    section('head', () => head(incident), [incident.summary, incident.severity, incident.state]);
    section('act', () => act(incident, app), [
      incident.advice,
      incident.state,
      incident.target,
      incident.worker,
      app.api.mayChange,
    ]);
    section('facts', () => about(incident, now, app), [incident, minute]);
    section('cause', () => decided(incident), [incident.cause, incident.culprit, incident.evidence?.reason]);
    section('evidence', () => proven(incident, told, now), [
      incident.evidence,
      incident.culprit,
      incident.state,
      told,
    ]);
    section('captures', () => taken(captures, now), captures);
    section('timeline', () => [h('h2', {}, 'What happened'), timeline(incident, now)], [
      incident.timeline,
      minute,
    ]);
    text(raw, JSON.stringify(incident, null, 2));
  };
  const look = async () => {
    if (state.asked) {
      state.again = true;
      return;
    }
    state.asked = true;
    try {
      await fetchAll(app, id, state);
      if (!state.over) draw();
    } catch (error) {
      if (!state.over && state.incident === null)
        fill(
          places.head,
          h('h1', {}, 'Incident'),
          h('p', { class: 'error', role: 'alert' }, plain(error.message, A_SENTENCE)),
        );
    } finally {
      state.asked = false;
      if (state.again && !state.over) state.timer = setTimeout(look, PAUSE_MILLISECONDS);
      state.again = false;
    }
  };

  const proof = h('div', { class: 'proof' }, places.cause, places.evidence, places.captures, json);
  fill(place, places.head, places.act, h('div', { class: 'columns' }, places.facts, proof, places.timeline));
  look();
  const offs = [
    app.live.on('incidents', () => {
      const known = app.live.incidents.get(id);
      if (known !== undefined && known.updated_at !== state.incident?.updated_at) look();
    }),
    app.live.on('captures', () => {
      if (follow(app, id, state)) look();
      draw();
    }),
  ];
  const ages = setInterval(draw, AGES_MILLISECONDS);
  return () => {
    state.over = true;
    for (const off of offs) off();
    clearInterval(ages);
    clearTimeout(state.timer);
  };
}

/** The incident, and the captures that are evidence of it. */
async function fetchAll(app, id, state) {
  const name = encodeURIComponent(id);
  const [incident, { captures }] = await Promise.all([
    app.api.get(`/api/v1/incidents/${name}`),
    app.api.get(`/api/v1/captures?incident=${name}`),
  ]);
  state.incident = incident;
  state.captures = new Map(captures.map((each) => [each.id, each]));
  follow(app, id, state);
}

/** What the stream tells of its captures; whether one has come or has ended, so that all of it is to be asked for. */
function follow(app, id, state) {
  let news = false;
  for (const capture of app.live.captures.values()) {
    if (capture.incident !== id) continue;
    const known = state.captures.get(capture.id);
    news ||= known === undefined || known.state !== capture.state;
    state.captures.set(capture.id, { ...known, ...capture, summary: capture.summary ?? known?.summary });
  }
  return news;
}

function head(incident) {
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

function act(incident, app) {
  const { advice } = incident;
  const about = { target: incident.target, worker: incident.worker };
  return [
    advice ? h('p', { class: 'advice' }, h('b', {}, 'What to do: '), coded(plain(advice, A_SENTENCE))) : null,
    h(
      'div',
      { class: 'actions' },
      incident.state === 'open' ? captureButton(app, about) : null,
      h('span', { class: 'hint' }, 'Runbook: ', h('code', {}, pageOf(incident.kind, incident.cause))),
    ),
    incident.state === 'open' ? whyNot(app) : null,
  ];
}

/** The cause with what decided it, and where. */
function decided({ cause, culprit, evidence: { reason } = {} }) {
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

function about(incident, now, app) {
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

function proven(incident, told, now) {
  const parts = evidence(incident, told, now);
  if (parts.length === 0) return [];
  // What it was at comes before what was measured of it: that is where somebody has to look.
  const stacks = parts.filter((each) => each.frames !== undefined);
  const others = parts.filter((each) => each.frames === undefined);
  return [
    h('h2', {}, 'Evidence'),
    ...[...stacks, ...others].map((each) => part(each, { culprit: incident.culprit })),
  ];
}

function taken(captures, now) {
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
