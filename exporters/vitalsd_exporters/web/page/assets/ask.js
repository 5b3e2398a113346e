/*
Asking for a capture, in a dialog: of which worker, which kind and what that costs it, for how long.

Whether it may be taken now the agent's policy decides; what it refuses is told in its own sentence.
*/

import { sentenceOf } from './captured.js';
import { fill, h } from './dom.js';
import { KINDS, costOf, stops } from './kinds.js';
import { modal } from './modal.js';
import { plain } from './words.js';

const FIRST_UP = '';
const FORCE = 'Also if one was taken a moment ago, or the budget of the hour is used up';
const LOOKS_ONLY = 'This page may only look: open the link with the token to capture, stop or delete.';

/** Opens the dialog, with this target and worker chosen, and goes to the capture that was asked for. */
export function askForCapture(app, { target, worker, kind = 'stacks' } = {}) {
  const rows = [...app.live.workers.values()];
  const targets = [...new Set([...rows.map((row) => row.target), target])].filter(Boolean).sort();
  const chosen = { target: target || targets[0] || '', worker: worker || FIRST_UP, kind };
  const dialog = h('dialog', { class: 'ask', 'aria-labelledby': 'ask-title' });
  const problem = h('p', { class: 'error', role: 'alert' });
  const force = check('ask-force', FORCE);
  const redact = check('ask-redact', 'Keep the snapshot without what its strings say');
  const seconds = h('input', {
    type: 'number',
    id: 'ask-seconds',
    min: 1,
    max: 3600,
    step: 'any',
    'aria-describedby': 'ask-hint',
  });
  const reason = h('input', { type: 'text', id: 'ask-reason', name: 'reason' });
  reason.maxLength = 500;
  const workers = h('select', {
    id: 'ask-worker',
    on: { change: (event) => choose({ worker: event.target.value }) },
  });
  const whom = select('ask-target', targets, chosen.target, (value) =>
    choose({ target: value, worker: FIRST_UP }),
  );
  const kinds = KINDS.map((one) => kindChoice(one, chosen, () => choose({ kind: one.kind })));
  const length = field('ask-seconds', 'Seconds', seconds);
  const hint = h('span', { class: 'quiet', id: 'ask-hint' });
  length.append(hint);
  const go = h('button', { type: 'submit', class: 'primary' }, 'Capture now');

  const runtime = () => runtimeOf(rows, chosen);
  const choose = (change) => {
    Object.assign(chosen, change);
    fill(
      workers,
      slotsOf(rows, chosen.target).map(([value, text]) => h('option', { value }, text)),
    );
    workers.value = chosen.worker;
    for (const each of kinds) each.price(runtime());
    const lasts = KINDS.find((one) => one.kind === chosen.kind).seconds;
    length.hidden = lasts === undefined;
    hint.textContent = lasts === undefined ? '' : `empty: ${lasts}`;
    redact.hidden = !(chosen.kind === 'heap' && runtime() !== 'python');
  };
  const send = async (event) => {
    event.preventDefault();
    go.disabled = true;
    problem.textContent = '';
    try {
      const wanted = bodyOf(chosen, {
        seconds: length.hidden ? '' : seconds.value,
        reason: reason.value,
        force: ticked(force),
        redact: !redact.hidden && ticked(redact),
      });
      const capture = await app.api.post('/api/v1/captures', wanted);
      dialog.close();
      app.go(`#/captures/${encodeURIComponent(capture.id)}`);
    } catch (error) {
      problem.textContent = error.capture
        ? sentenceOf(error.capture, app.live.now(), `with “${FORCE}”`)
        : plain(error.message, 1000);
    } finally {
      go.disabled = false;
    }
  };
  const form = h(
    'form',
    { on: { submit: send } },
    h('h2', { id: 'ask-title' }, 'Capture now'),
    h('div', { class: 'pair' }, field('ask-target', 'Target', whom), field('ask-worker', 'Worker', workers)),
    h(
      'fieldset',
      { class: 'kinds' },
      h('legend', {}, 'What'),
      kinds.map((each) => each.element),
    ),
    length,
    field('ask-reason', 'Why (for those who look at it later)', reason),
    redact,
    force,
    problem,
    h(
      'div',
      { class: 'actions' },
      h('button', { type: 'button', on: { click: () => dialog.close() } }, 'Cancel'),
      go,
    ),
  );
  if (targets.length === 0) problem.textContent = 'There is no target to capture anything of.';
  go.disabled = targets.length === 0;
  choose({});
  dialog.append(form);
  modal(dialog);
  if (target) dialog.querySelector('input:checked')?.focus();
  return dialog;
}

/** A button that opens the dialog; where nothing may be changed it is disabled and says why. */
export function captureButton(app, about = {}, text = 'Capture now', style = 'primary') {
  return mayButton(app, { class: style, on: { click: () => askForCapture(app, about) } }, text);
}

/** A button for what changes something, with the reason beside it where that is not allowed. */
export function mayButton(app, attributes, text) {
  if (app.api.mayChange) return h('button', { type: 'button', ...attributes }, text);
  const { on: _, ...rest } = attributes;
  return h('button', { type: 'button', ...rest, disabled: true, title: LOOKS_ONLY }, text);
}

/** Why nothing may be changed, as a sentence; none where it may. */
export function whyNot(app) {
  return app.api.mayChange ? null : h('p', { class: 'hint' }, LOOKS_ONLY);
}

/** The body of the request: what was chosen, and nothing that was left empty. */
export function bodyOf({ target, worker, kind }, { seconds, reason, force, redact }) {
  const body = { kind, target };
  if (worker !== FIRST_UP) body.worker = worker;
  if (seconds !== '') body.seconds = Number(seconds);
  if (reason.trim() !== '') body.reason = reason.trim();
  if (force) body.force = true;
  if (redact) body.redact = true;
  return body;
}

function runtimeOf(rows, { target, worker }) {
  const own = rows.filter((row) => row.target === target);
  const one = own.find((row) => row.worker === worker) ?? own.find((row) => row.state === 'up') ?? own[0];
  return one?.runtime ?? null;
}

function slotsOf(rows, target) {
  const slots = rows
    .filter((row) => row.target === target)
    .sort((one, other) => one.worker.localeCompare(other.worker, 'en', { numeric: true }));
  return [
    [FIRST_UP, 'the first that is up'],
    ...slots.map((row) => [row.worker, `${plain(row.worker)} (${row.state}, process ${row.pid ?? '–'})`]),
  ];
}

/** One kind to choose, with what it tells; `price` says what it costs a service with that runtime. */
function kindChoice(one, chosen, choose) {
  const id = `ask-kind-${one.kind}`;
  const radio = h('input', {
    type: 'radio',
    name: 'kind',
    id,
    value: one.kind,
    checked: one.kind === chosen.kind,
    'aria-describedby': `${id}-tells`,
    on: { change: choose },
  });
  const cost = h('span', { class: 'cost' });
  const tells = h('span', { class: 'tells', id: `${id}-tells` }, one.tells, ' ', cost);
  const price = (runtime) => {
    cost.className = stops(one.kind, runtime) ? 'cost stops' : 'cost';
    cost.textContent = costOf(one.kind, runtime);
  };
  return {
    element: h('label', { class: 'kind', for: id }, radio, h('span', { class: 'name' }, one.kind), tells),
    price,
  };
}

function select(id, values, value, chosen) {
  const element = h(
    'select',
    { id, on: { change: (event) => chosen(event.target.value) } },
    values.map((each) => h('option', { value: each }, plain(each))),
  );
  element.value = value;
  return element;
}

function field(id, title, input) {
  return h('label', { class: 'field', for: id }, h('span', {}, title), input);
}

function check(id, text) {
  return h('label', { class: 'check', for: id }, h('input', { type: 'checkbox', id }), h('span', {}, text));
}

function ticked(element) {
  return element.querySelector('input').checked;
}
