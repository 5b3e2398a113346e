/* One capture: how far it is, what became of it, what is in it, its files, and what can be done with it. */

import { whyNot } from './ask.js';
import { factsOf, isActive, priceOf, sentenceOf, stateText, summaryOf, whereOf } from './captured.js';
import { deeds } from './deeds.js';
import { fill, h, text } from './dom.js';
import { fileList, readable, viewerOf } from './files.js';
import { tellsOf } from './kinds.js';
import { facts, lines, part, sentence } from './parts.js';
import { stateOf } from './states.js';
import { plain } from './words.js';

const AGES_MILLISECONDS = 30_000;
const SECTIONS = ['head', 'progress', 'act', 'facts', 'summary', 'files'];

/** Shows one, until it is ended. */
export function show(place, { id }, app) {
  app.title('Capture');
  const path = `/api/v1/captures/${encodeURIComponent(id)}`;
  const places = Object.fromEntries(
    SECTIONS.map((name) => [name, h('section', { class: `section its-${name}` })]),
  );
  const problem = h('p', { class: 'error', role: 'alert' });
  const raw = h('pre', { class: 'raw', tabindex: '0' });
  const drawn = new Map();
  const state = { capture: null, told: app.live.captures.has(id), gone: false, over: false };

  const section = (name, made, key) => {
    const told = JSON.stringify(key);
    if (drawn.get(name) === told) return;
    drawn.set(name, told);
    fill(places[name], ...made());
  };
  const draw = () => {
    const { capture } = state;
    if (capture === null || state.over) return;
    const now = app.live.now();
    section('head', () => head(capture), [sentenceOf({ ...capture, progress: null }), capture.state]);
    section('progress', () => progress(capture), [capture.state, capture.progress, capture.waits_for, capture.holds_seconds]);
    section('act', () => [buttons(capture), whyNot(app)], [
      isActive(capture),
      capture.state,
      capture.pinned,
      capture.artifacts,
      app.api.mayChange,
    ]);
    section('facts', () => [facts(rows(capture, now))], [
      capture.state,
      capture.pinned,
      capture.holds_seconds,
      capture.uploaded_at,
      capture.upload_problem,
      Math.floor(now / AGES_MILLISECONDS),
    ]);
    section('summary', () => inside(capture, now), capture.summary);
    section('files', () => files(capture, app), capture.artifacts);
    text(raw, lines(JSON.stringify(capture, null, 2)));
    json.hidden = false;
  };
  const look = async () => {
    try {
      const first = state.capture === null;
      state.capture = await app.api.get(path);
      if (first && !state.over) app.title(nameOf(state.capture));
      draw();
    } catch (error) {
      if (state.over || state.gone) return;
      text(problem, plain(error.message, 1000));
      if (state.capture === null) fill(places.head, h('h1', {}, 'Capture'));
      if (error.status === 404) fill(places.act);
    }
  };
  const change = async (what, said) => {
    text(problem, '');
    try {
      const answer = await what();
      app.say(said);
      if (answer === null) return gone();
      state.capture = { ...state.capture, ...answer };
      draw();
    } catch (error) {
      text(problem, plain(error.message, 1000));
    }
    return undefined;
  };
  const gone = () => {
    state.gone = true;
    app.go('#/captures');
  };
  const buttons = (capture) =>
    h('div', { class: 'actions' }, viewers(capture), deeds(capture, app, change));

  const json = h('details', { class: 'json', hidden: true }, h('summary', {}, 'As JSON'), raw);
  fill(
    place,
    places.head,
    places.progress,
    places.act,
    problem,
    h('div', { class: 'columns' }, places.facts, h('div', { class: 'proof' }, places.summary, places.files, json)),
  );
  look();
  const off = app.live.on('captures', () => {
    const told = app.live.captures.get(id);
    if (state.gone) return;
    if (told === undefined) {
      if (state.told) look(); // somebody else may have deleted it
      state.told = false;
      return;
    }
    state.told = true;
    const ended = state.capture !== null && isActive(state.capture) && !isActive(told);
    const { summary, left_out: _, ...rest } = told;
    state.capture = { ...state.capture, ...rest, summary: state.capture?.summary ?? summary ?? {} };
    if (ended) {
      look();
      app.say(sentenceOf(told));
    }
    draw();
  });
  const ages = setInterval(draw, AGES_MILLISECONDS);
  return () => {
    state.over = true;
    off();
    clearInterval(ages);
  };
}

function nameOf(capture) {
  return `${capture.kind} capture of ${whereOf(capture)}`;
}

function head(capture) {
  return [
    h(
      'p',
      { class: 'crumbs' },
      h('a', { href: '#/captures' }, 'Captures'),
      ' / ',
      stateOf(capture.state),
      ' ',
      h('code', {}, plain(capture.id)),
    ),
    sentence(isActive(capture) ? nameOf(capture) : sentenceOf(capture)),
  ];
}

function progress(capture) {
  if (!isActive(capture)) return [];
  const bar = h('progress', { 'aria-label': 'How much of it is done', max: 1, value: capture.progress });
  return [
    bar,
    h('p', {}, stateOf(capture.state, stateText(capture))),
    capture.holds_seconds ? h('p', {}, priceOf(capture)) : null,
    h('p', { class: 'hint' }, `It tells: ${tellsOf(capture.kind)}`),
  ];
}

function rows(capture, now) {
  const told = factsOf(capture, now);
  if (!capture.incident) return told;
  return [
    ...told,
    [
      'incident',
      h(
        'a',
        { href: `#/incidents/${encodeURIComponent(capture.incident)}` },
        plain(capture.about || capture.incident),
      ),
    ],
  ];
}

function viewers(capture) {
  return readable(capture).map(({ name, title }) =>
    h('a', { class: 'button primary', href: viewerOf(capture, name) }, title),
  );
}

function inside(capture, now) {
  const parts = summaryOf(capture, now);
  return parts.length === 0 ? [] : [h('h2', {}, 'What is in it'), ...parts.map((told) => part(told))];
}

function files(capture, app) {
  return capture.artifacts?.length > 0 ? [h('h2', {}, 'Files'), fileList(capture, app)] : [];
}
