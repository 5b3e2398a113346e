/*
What the agent tells as it changes: one stream for the whole page, and the latest of everything that it told.

A stream that ends is begun again after a pause that grows, and everything is told anew. What was told last stays to
be seen meanwhile, under words that say so. A browser has six connections to a host, for all its tabs: one that nobody
sees lets go of its stream, and looks each half a minute for as long as it takes to be told everything once.
*/

import { api, renew } from './session.js';
import { eventsOf } from './sse.js';

const FIRST_PAUSE = 1000;
const LONGEST_PAUSE = 15_000;
const SILENT = 10_000;
/* The agent says something each second. */
const HIDDEN_PAUSE = 1000;
/* Nothing is drawn in a tab that nobody sees, but its title is. */
const LET_GO = 5000;
const LOOK_EVERY = 30_000;

const EVERYTHING = ['workers', 'incidents', 'captures', 'agent'];
/* What each stream tells at first. */
const listeners = new Map([...EVERYTHING, 'state'].map((topic) => [topic, new Set()]));
const changed = new Set();
let drawing = false;
let ahead = 0;
let hiddenSince = document.hidden ? -Infinity : Infinity;
/* A tab that is opened behind others rests at once. */
const away = () => Date.now() - hiddenSince > LET_GO;
const RESTED = Symbol('rested');
/* What a stream ends with that is let go. */

/** The latest of everything; see the table of topics in `on`. */
export const live = {
  workers: new Map(),
  targets: [],
  incidents: new Map(),
  captures: new Map(),
  agent: null,
  /** `connecting`, `live`, `resting` in a tab that nobody sees, `lost` or `refused`. */
  state: 'connecting',
  /** When something was told last, as Date.now() has it. */
  toldAt: null,
  /** Since when nothing is told, and when we try again; null while all is well. */
  lostSince: null,
  nextTry: null,
  /** Why we are refused or lost, in a sentence. */
  reason: null,

  /** Have `fn` called when something of a topic has changed, at most once per frame; the answer ends that. */
  on(topic, fn) {
    listeners.get(topic).add(fn);
    return () => listeners.get(topic).delete(fn);
  },

  /** Now, by the clock of the agent's host: milliseconds. */
  now: () => Date.now() + ahead,
};

/** Listen for as long as the page is open. */
export async function listen() {
  let pause = FIRST_PAUSE;
  for (;;) {
    const ended = await once(() => {
      pause = FIRST_PAUSE;
    });
    if (ended === RESTED) {
      if (live.state !== 'resting') enter('resting');
      await waited(LOOK_EVERY);
      continue;
    }
    live.lostSince ??= live.toldAt ?? Date.now();
    live.reason = ended.message;
    enter(ended.status === 401 || ended.status === 403 ? 'refused' : 'lost');
    live.nextTry = Date.now() + pause;
    await waited(pause);
    pause = Math.min(pause * 2, LONGEST_PAUSE);
  }
}

/** One stream until it ends; the answer is why it did. */
async function once(begun) {
  const ending = new AbortController();
  let heard = Date.now();
  const guard = setInterval(() => {
    if (Date.now() - heard > SILENT) ending.abort();
  }, 1000);
  try {
    await renew();
    const answer = await api.open('/api/v1/stream?view=page', { signal: ending.signal });
    setClock(answer.headers.get('Date'));
    const told = new Set();
    for await (const event of eventsOf(answer.body)) {
      heard = Date.now();
      if (event !== null) {
        take(event.name, event.data, !told.has(event.name));
        told.add(event.name);
      }
      if (told.has('workers')) live.toldAt = heard;
      const state = away() ? 'resting' : 'live';
      if (live.state !== state && told.has('workers')) {
        begun();
        live.lostSince = live.nextTry = live.reason = null;
        enter(state);
      }
      if (state === 'resting' && EVERYTHING.every((topic) => told.has(topic))) return RESTED;
    }
    return new Error('The agent has ended the stream.');
  } catch (error) {
    if (error.name === 'AbortError') return new Error('The agent has said nothing for 10 s.');
    return error instanceof TypeError ? new Error('Nothing answers at this address.') : error;
  } finally {
    clearInterval(guard);
    ending.abort();
  }
}

/** Take in one event; the first of a stream has everything, so what was known before is forgotten. */
function take(name, data, first) {
  if (name === 'workers') takeWorkers(data.workers);
  else if (name === 'incidents') takeNamed('incidents', data.incidents, first);
  else if (name === 'captures') takeNamed('captures', data.captures, first);
  else if (name === 'gone') forget(data.gone);
  else if (name === 'agent') live.agent = data.agent;
  else if (name === 'targets') live.targets = data.targets;
  tell({ targets: 'workers', gone: 'captures' }[name] ?? name);
}

/** Incidents that the agent has no longer at hand, and captures that were deleted. */
function forget(ids) {
  for (const id of ids) {
    live.incidents.delete(id);
    live.captures.delete(id);
  }
  tell('incidents');
}

function takeWorkers({ all, rows, gone }) {
  if (all) live.workers.clear();
  for (const place of gone) live.workers.delete(place);
  for (const row of rows) live.workers.set(`${row.target}/${row.worker}`, row);
}

function takeNamed(topic, things, first) {
  if (first) live[topic].clear();
  for (const thing of things) live[topic].set(thing.id, thing);
}

function enter(state) {
  live.state = state;
  tell('state');
}

/** The clocks of two hosts differ, and `ago` must not. */
function setClock(date) {
  const there = Date.parse(date ?? '');
  ahead = Number.isNaN(there) || Math.abs(there - Date.now()) < 3000 ? 0 : there - Date.now();
}

function tell(topic) {
  if (!listeners.has(topic)) return; // an event of a later version
  changed.add(topic);
  if (drawing) return;
  drawing = true;
  if (document.hidden) setTimeout(draw, HIDDEN_PAUSE);
  else requestAnimationFrame(draw);
}

document.addEventListener('visibilitychange', () => {
  hiddenSince = document.hidden ? Date.now() : Infinity;
  if (document.hidden && drawing) draw(); // the frame that it waits for does not come
});

function draw() {
  if (!drawing) return; // done already
  drawing = false;
  const topics = [...changed];
  changed.clear();
  for (const topic of topics) {
    for (const fn of [...listeners.get(topic)]) {
      try {
        fn();
      } catch (error) {
        console.error(error); // one part of the page that fails takes no other with it
      }
    }
  }
}

/** A pause, or less where the browser comes back to a network or to this tab. */
function waited(milliseconds) {
  return new Promise((resolve) => {
    const done = () => {
      clearTimeout(timer);
      window.removeEventListener('online', done);
      document.removeEventListener('visibilitychange', seen);
      resolve();
    };
    const seen = () => document.hidden || done();
    const timer = setTimeout(done, milliseconds);
    window.addEventListener('online', done);
    document.addEventListener('visibilitychange', seen);
  });
}
