/* A question before something that cannot be taken back. */

import { h } from './dom.js';
import { modal } from './modal.js';

/** Asks in a dialog; a promise of whether the answer was yes. Escape is no, and so is a question that is taken back. */
export async function confirmed({ title, text, action }, takenBack = null) {
  const dialog = h(
    'dialog',
    { class: 'ask', 'aria-labelledby': 'confirm-title', 'aria-describedby': 'confirm-text' },
    h('h2', { id: 'confirm-title' }, title),
    h('p', { id: 'confirm-text' }, text),
    h(
      'div',
      { class: 'actions' },
      h('button', { type: 'button', on: { click: () => dialog.close('') } }, 'No, leave it'),
      h('button', { type: 'button', class: 'danger', on: { click: () => dialog.close('yes') } }, action),
    ),
  );
  return (await modal(dialog, takenBack)) === 'yes';
}
