/* What can be done with a capture: to stop, cancel, keep or delete it, each only where it means something. */

import { captureButton, mayButton } from './ask.js';
import { isActive, whereOf } from './captured.js';
import { confirmed } from './confirm.js';
import { count } from './words.js';

/**
 * The buttons. `change(what, said)` does it and tells what came of it.
 */
export function deeds(capture, app, change) {
  const path = `/api/v1/captures/${encodeURIComponent(capture.id)}`;
  const button = (title, click, more = {}) => mayButton(app, { on: { click }, ...more }, title);
  if (isActive(capture)) {
    const stop = () => change(() => app.api.post(`${path}/stop`), 'It is being stopped.');
    const cancel = async () => {
      if (await cancelling(capture.id, app.live))
        await change(() => app.api.post(`${path}/cancel`), 'It is cancelled.');
    };
    return [
      capture.state === 'running' ? button('Stop early and keep what there is', stop) : null,
      button('Cancel', cancel, { class: 'danger' }),
    ];
  }
  const pinned = !capture.pinned;
  const pin = () =>
    change(() => app.api.patch(path, { pinned }), pinned ? 'It is pinned.' : 'It is no longer pinned.');
  const remove = async () => {
    if (await confirmed(deletion(capture))) await change(() => app.api.remove(path), 'It is deleted.');
  };
  return [
    capture.state === 'done'
      ? button('Pinned: keep it, whatever room it takes', pin, { 'aria-pressed': String(capture.pinned) })
      : null,
    captureButton(app, capture, capture.state === 'done' ? 'Take another' : 'Ask again', ''),
    button('Delete', remove, { class: 'danger' }),
  ];
}

/** Asks, until it has ended by itself: then there is nothing to answer. */
async function cancelling(id, live) {
  const ending = new AbortController();
  const off = live.on('captures', () => {
    const told = live.captures.get(id);
    if (told === undefined || !isActive(told)) ending.abort();
  });
  try {
    return await confirmed(CANCEL, ending.signal);
  } finally {
    off();
  }
}

const CANCEL = {
  title: 'Cancel this capture?',
  text: 'It ends, and nothing of it is kept. To keep what there is by now, stop it early.',
  action: 'Cancel it',
};

function deletion({ kind, artifacts, ...capture }) {
  const files =
    artifacts.length === 0
      ? ''
      : `, with ${count(artifacts.length)} ${artifacts.length === 1 ? 'file' : 'files'},`;
  return {
    title: 'Delete this capture?',
    text: `The ${kind} capture of ${whereOf(capture)}${files} is deleted for good.`,
    action: 'Delete it',
  };
}
