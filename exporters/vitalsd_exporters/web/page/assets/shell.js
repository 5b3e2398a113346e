/*
What stands around every view: where one can go, how many incidents are open, and whether this is how things are now.
*/

import { fill, h, s, set, text } from './dom.js';
import { openParts } from './marks.js';
import { ago, clock, duration, many, plain } from './words.js';

const ACTIVE = ['waiting', 'running', 'stopping'];
const LOOKING = 'This page was opened without the token, by a cookie: open the link again to ask for captures.';
const LOGO = 'M2 13h5l3-8 5 15 3-7h6';

/** Build it into `root`: `place` is the view's, `section(name)` marks where one is, `say` and `arrived` tell. */
export function shell(root, { live, api }) {
  const links = [
    link('', 'Fleet'),
    link('incidents', 'Incidents'),
    link('captures', 'Captures'),
    link('rules', 'Rules'),
  ];
  const [, incidents, captures] = links;
  const state = h('p', { class: 'connection', role: 'status' });
  const agent = h('p', { class: 'agent' });
  const looking = h('p', { class: 'mark plain', hidden: true, title: LOOKING }, 'may only look');
  const problems = h('div', { class: 'problems', role: 'alert', hidden: true });
  const place = h('main', { id: 'main', tabindex: -1 });
  const voice = h('p', { class: 'unseen', 'aria-live': 'polite' });
  const logo = s('svg', { viewBox: '0 0 26 24', class: 'logo', 'aria-hidden': 'true' }, s('path', { d: LOGO }));
  fill(
    root,
    h('button', { type: 'button', class: 'skip', on: { click: () => place.focus() } }, 'Skip to the content'),
    h(
      'header',
      { class: 'top' },
      h('a', { class: 'name', href: '#/' }, logo, 'vitalsd'),
      h(
        'nav',
        { 'aria-label': 'Views' },
        h(
          'ul',
          {},
          links.map((each) => h('li', {}, each.element)),
        ),
      ),
      h('div', { class: 'about' }, looking, agent, state),
    ),
    problems,
    place,
    voice,
  );

  function countIncidents() {
    const open = { critical: 0, warning: 0, info: 0 };
    for (const each of live.incidents.values()) if (each.state === 'open') open[each.severity] += 1;
    const parts = openParts(open).filter((each) => each.class !== 'faint');
    fill(
      incidents.badge,
      parts.map((each) => h('span', { class: each.class, title: each.title }, each.text)),
    );
  }

  function countCaptures() {
    const running = [...live.captures.values()].filter((each) => ACTIVE.includes(each.state)).length;
    fill(
      captures.badge,
      running > 0 &&
        h(
          'span',
          { class: 'mark busy', title: many(running, 'capture under way', 'captures under way') },
          running,
        ),
    );
  }

  let told = '';
  function tellState() {
    const { state: its, toldAt, lostSince, nextTry } = live;
    const words = {
      connecting: 'connecting',
      live: 'live',
      resting: `as of ${clock(new Date(toldAt ?? 0).toISOString())}`, // of the moment until the stream is there again
      lost: 'connection lost',
      refused: 'not let in',
    }[its];
    set(state, 'class', `connection ${its}`);
    looking.hidden = api.mayChange;
    text(state, words);
    const lines = [
      ...lost(live, lostSince, nextTry),
      ...(live.agent?.problems ?? []).map((each) => h('p', {}, plain(each, 600))),
    ];
    const now = lines.map((each) => each.textContent).join('\n');
    if (now === told) return;
    told = now;
    fill(problems, lines);
    problems.hidden = lines.length === 0;
    set(root, 'class', its === 'lost' || its === 'refused' ? 'lost' : null);
  }

  let version = null;
  function tellAgent() {
    const { agent: its } = live;
    if (its === null) return;
    text(agent, `agent ${plain(its.version, 40)}`);
    set(
      agent,
      'title',
      `Since ${clock(its.started_at, live.now())} (${ago(its.started_at, live.now())}); samples every ${duration(its.interval_seconds)}.`,
    );
    if (version !== null && version !== its.version) location.reload(); // the files of this page are another agent's
    version = its.version;
    tellState();
  }

  const counting = setInterval(() => live.state !== 'live' && tellState(), 1000);
  const offs = [
    live.on('incidents', countIncidents),
    live.on('captures', countCaptures),
    live.on('state', tellState),
    live.on('agent', tellAgent),
  ];
  tellState();

  return {
    place,
    section(name) {
      for (const each of links) set(each.element, 'aria-current', each.name === name ? 'page' : null);
    },
    say(words) {
      text(voice, voice.textContent === words ? `${words}\u00a0` : words);
    },
    /** Somebody has come to another view: reading goes on there. */
    arrived() {
      place.scrollTop = 0;
      if (document.activeElement === document.body || document.activeElement?.closest('nav') === null)
        place.focus({ preventScroll: true });
    },
    end() {
      clearInterval(counting);
      offs.forEach((off) => off());
    },
  };
}

function link(name, words) {
  const badge = h('span', { class: 'badge' });
  return { name, badge, element: h('a', { href: `#/${name}` }, words, badge) };
}

/** What to know while nothing is told: that all below is of then. */
function lost(live, since, nextTry) {
  if (live.state === 'refused') {
    return [
      h('p', {}, h('strong', {}, 'The agent does not let this page in. '), plain(live.reason ?? '', 300)),
      h(
        'p',
        {},
        `Open the link that it printed when it started, or ${location.origin}/?token=TOKEN with what is in its token file.`,
      ),
    ];
  }
  if (live.state !== 'lost') return [];
  const again = Math.max(0, Math.ceil(((nextTry ?? 0) - Date.now()) / 1000));
  return [
    h(
      'p',
      {},
      h('strong', {}, `Lost since ${clock(new Date(since).toISOString())}. `),
      `What is shown is of then; the next try is ${again > 0 ? `in ${again} s` : 'under way'}. `,
      h('span', { class: 'quiet' }, plain(live.reason ?? '', 300)),
    ),
  ];
}
