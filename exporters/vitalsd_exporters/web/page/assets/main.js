/*
The shell of the page: what stands around every view, and which view a fragment leads to.

Views are modules that are loaded when somebody goes there; each gets a place, its parameters and `app`, and returns
how to end it. Parameters: `{name, slot}` of targets, `{id, file}` of captures, `{id}` of incidents, and `query`, what
stands behind a `?` in the fragment.
*/

import { fill, h, set, text } from './dom.js';
import { listen, live } from './live.js';
import { routeOf } from './routes.js';
import { api } from './session.js';
import { shell } from './shell.js';
import { collect } from './trail.js';
import { plain } from './words.js';

const around = shell(document.body, { live, api });
let end = () => {};
let turn = 0;
let heading = 'vitalsd';
/* Whether the view was not to be had because the agent was gone: it is fetched when there is one again. */
let stranded = false;

/** What a view may use of the page. */
const app = {
  api,
  live,
  /** Go to a fragment. */
  go(hash) {
    location.hash = hash;
  },
  /** What the tab is called, and a screen reader hears on arriving. */
  title(words) {
    heading = words;
    tell();
    around.say(words);
  },
  /** Say something to whoever listens to the page. */
  say: (words) => around.say(words),
};

async function arrive() {
  turn += 1;
  stranded = false;
  const mine = turn;
  const route = routeOf(location.hash);
  around.section(route?.section ?? null);
  leave();
  const place = h('div', { class: `view ${route?.view ?? ''}` });
  fill(around.place, place);
  if (route === null) return failed(place, 'There is nothing here.', 'The address leads nowhere on this page.');
  set(around.place, 'aria-busy', 'true');
  try {
    const view = await import(`./${route.view}.js`);
    if (mine !== turn) return; // somebody has gone on meanwhile
    end = view.show(place, route.params, app) ?? (() => {});
  } catch (error) {
    if (mine === turn) missing(place, error);
  } finally {
    set(around.place, 'aria-busy', null);
  }
  if (mine === turn) around.arrived();
}

function leave() {
  const ending = end;
  end = () => {};
  try {
    ending();
  } catch (error) {
    console.error(error);
  }
}

/** While the agent is gone, to load the page again would be to lose it. */
function missing(place, error) {
  stranded = live.state !== 'live';
  if (stranded) {
    failed(place, 'This view waits for the agent.', 'It could not be fetched, and comes when the agent is back.');
    return;
  }
  console.error(error);
  const again = h('button', { type: 'button', on: { click: () => location.reload() } }, 'Load the page again');
  failed(place, 'This view is not there.', plain(error.message), again);
}

function failed(place, words, why, more = null) {
  app.title(words);
  fill(place, h('section', { class: 'notice' }, h('h1', {}, words), h('p', {}, why), more && h('p', {}, more)));
}

/** The tab tells how many incidents are open: who is on call has it in the background. */
function tell() {
  const open = [...live.incidents.values()].filter(
    (each) => each.state === 'open' && each.severity !== 'info',
  ).length;
  const lost = live.state === 'lost' || live.state === 'refused' ? '(lost) ' : '';
  text(document.querySelector('title'), `${lost}${open > 0 ? `(${open}) ` : ''}${plain(heading, 80)} · vitalsd`);
}

live.on('incidents', tell);
live.on('state', tell);
live.on('state', () => {
  if (stranded && live.state === 'live') arrive();
});
window.addEventListener('hashchange', arrive);
arrive();
collect();
listen();
