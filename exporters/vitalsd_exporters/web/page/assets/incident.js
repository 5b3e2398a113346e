/*
One incident in full: the sentence, what to do, what decided the cause, the stack, what was measured, what was captured
and what happened when. What has not changed is not drawn again, so what somebody has unfolded or marked stays.
*/

import { fill, h, text } from './dom.js';
import { about, act, decided, head, nameOf, proven, taken } from './incidentparts.js';
import { lines } from './parts.js';
import { timeline } from './timeline.js';
import { plain } from './words.js';

const A_SENTENCE = 2000;
const PAUSE_MILLISECONDS = 500;
const AGES_MILLISECONDS = 30_000;

/** Shows one, until it is ended. */
export function show(place, { id }, app) {
  app.title('Incident');
  const places = Object.fromEntries(
    ['head', 'act', 'cause', 'facts', 'evidence', 'captures', 'timeline'].map((name) => [
      name,
      h('section', { class: `section its-${name}` }),
    ]),
  );
  const raw = h('pre', { class: 'raw', tabindex: '0' });
  const json = h('details', { class: 'json', hidden: true }, h('summary', {}, 'As JSON'), raw);
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
    section('facts', () => about(incident, now), [incident, minute]);
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
    text(raw, lines(JSON.stringify(incident, null, 2)));
    json.hidden = false;
  };
  const look = async () => {
    if (state.asked) {
      state.again = true;
      return;
    }
    state.asked = true;
    try {
      const first = state.incident === null;
      await fetchAll(app, id, state);
      if (state.over) return;
      if (first) app.title(nameOf(state.incident));
      draw();
    } catch (error) {
      if (state.over) return;
      if (state.incident !== null) {
        if (error.status === 404) {
          state.incident = ended(state.incident);
          draw();
        }
      } else
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
      if (isOther(app.live.incidents.get(id), state.incident)) look();
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

/** Whether the stream tells another state of it; what the stream has no more is open no more. */
function isOther(known, shown) {
  if (known === undefined) return shown?.state === 'open';
  return known.updated_at !== shown?.updated_at || known.state !== shown.state;
}

/** One that the agent no longer has, not on disk either: what was to be done about it is over with it. */
function ended(incident) {
  const { summary, advice } = incident;
  return { ...incident, state: 'resolved', advice: '', summary: String(summary).replace(`; ${advice}`, '') };
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
