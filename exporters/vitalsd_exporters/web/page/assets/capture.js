/* One capture: how far it is, what became of it, what is in it, its files, and what can be done with it. */

import { mayButton, whyNot } from './ask.js';
import { factsOf, isActive, sentenceOf, stateText, summaryOf, whereOf } from './captured.js';
import { confirmed } from './confirm.js';
import { fill, h, text } from './dom.js';
import { fileList, readable, viewerOf } from './files.js';
import { facts, part } from './parts.js';
import { stateOf } from './states.js';
import { plain } from './words.js';

const AGES_MILLISECONDS = 30_000;
const SECTIONS = ['head', 'progress', 'act', 'facts', 'open', 'summary', 'files'];

/** Shows one, until it is ended. */
export function show(place, { id }, app) {
  app.title(`Capture ${id}`);
  const path = `/api/v1/captures/${encodeURIComponent(id)}`;
  const places = Object.fromEntries(SECTIONS.map((name) => [name, h('section', { class: `capture-${name}` })]));
  const problem = h('p', { class: 'problem', role: 'alert' });
  const raw = h('pre', { class: 'raw', tabindex: '0' });
  const drawn = new Map();
  const state = { capture: null, gone: false, over: false };

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
    section('progress', () => progress(capture), [capture.state, capture.progress, capture.waits_for]);
    section('act', () => [actions(capture), whyNot(app)], [
      isActive(capture),
      capture.state,
      capture.pinned,
      app.api.mayChange,
    ]);
    section('facts', () => [facts(rows(capture, now))], [
      capture.state,
      capture.pinned,
      capture.uploaded_at,
      capture.upload_problem,
      Math.floor(now / AGES_MILLISECONDS),
    ]);
    section('open', () => [viewers(capture)], capture.artifacts);
    section('summary', () => inside(capture, now), capture.summary);
    section('files', () => files(capture, app), capture.artifacts);
    text(raw, JSON.stringify(capture, null, 2));
  };
  const look = async () => {
    try {
      state.capture = await app.api.get(path);
      draw();
    } catch (error) {
      if (!state.over && !state.gone) text(problem, plain(error.message, 1000));
    }
  };
  const change = async (what, done) => {
    text(problem, '');
    try {
      const answer = await what();
      if (answer?.id !== undefined) state.capture = { ...state.capture, ...answer };
      app.say(done);
      draw();
    } catch (error) {
      text(problem, plain(error.message, 1000));
    }
  };
  const remove = async () => {
    const { capture } = state;
    const sure = await confirmed({
      title: 'Delete this capture?',
      text: `The ${capture.kind} capture of ${whereOf(capture)} and its ${capture.artifacts.length} files are deleted for good.`,
      action: 'Delete it',
    });
    if (!sure) return;
    state.gone = true;
    await change(() => app.api.remove(path), 'The capture is deleted.');
    if (problem.textContent === '') app.go('#/captures');
    else state.gone = false;
  };
  const cancel = async () => {
    const sure = await confirmed({
      title: 'Cancel this capture?',
      text: 'It ends, and nothing of it is kept. To keep what there is, stop it early.',
      action: 'Cancel it',
    });
    if (sure) await change(() => app.api.remove(path), 'The capture is cancelled.');
  };
  const button = (title, click, more = {}) => mayButton(app, { on: { click }, ...more }, title);
  const actions = (capture) => {
    if (isActive(capture)) {
      return h(
        'p',
        { class: 'actions' },
        capture.state === 'running'
          ? button('Stop early and keep what there is', () =>
              change(() => app.api.post(`${path}/stop`), 'It is being stopped.'),
            )
          : null,
        button('Cancel', cancel, { class: 'danger' }),
      );
    }
    const pin = capture.pinned ? 'Let it go when room is needed' : 'Keep it, whatever room it takes';
    const kept = capture.state === 'done';
    return h(
      'p',
      { class: 'actions' },
      kept
        ? button(
            pin,
            () =>
              change(
                () => app.api.patch(path, { pinned: !capture.pinned }),
                capture.pinned ? 'No longer pinned.' : 'Pinned.',
              ),
            { 'aria-pressed': String(capture.pinned) },
          )
        : null,
      button('Delete', remove, { class: 'danger' }),
    );
  };

  fill(
    place,
    ...SECTIONS.slice(0, 3).map((name) => places[name]),
    problem,
    ...SECTIONS.slice(3).map((name) => places[name]),
    h('details', { class: 'json' }, h('summary', {}, 'As JSON'), raw),
  );
  look();
  const off = app.live.on('captures', () => {
    const told = app.live.captures.get(id);
    if (told === undefined || state.gone) return;
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

function head(capture) {
  return [
    h(
      'p',
      { class: 'over' },
      h('a', { href: '#/captures' }, 'Captures'),
      ' / ',
      stateOf(capture.state),
      ' ',
      h('code', {}, plain(capture.id)),
    ),
    h(
      'h1',
      { class: 'sentence' },
      isActive(capture) ? `${capture.kind} capture of ${whereOf(capture)}` : sentenceOf(capture),
    ),
  ];
}

function progress(capture) {
  if (!isActive(capture)) return [];
  const bar = h('progress', { 'aria-label': 'How much of it is done', max: 1, value: capture.progress });
  return [bar, ' ', stateOf(capture.state, stateText(capture))];
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
  const found = readable(capture);
  return found.length === 0
    ? null
    : h(
        'p',
        { class: 'actions' },
        found.map(({ name, title }) => h('a', { class: 'button primary', href: viewerOf(capture, name) }, title)),
      );
}

function inside(capture, now) {
  const parts = summaryOf(capture, now);
  return parts.length === 0 ? [] : [h('h2', {}, 'What is in it'), ...parts.map((told) => part(told))];
}

function files(capture, app) {
  return capture.artifacts?.length > 0 ? [h('h2', {}, 'Files'), fileList(capture, app)] : [];
}
