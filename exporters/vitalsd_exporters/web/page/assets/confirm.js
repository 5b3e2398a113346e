/* A question before something that cannot be taken back. */

import { h } from './dom.js';

/** Asks in a dialog; a promise of whether the answer was yes. Escape is no. */
export function confirmed({ title, text, action }) {
  return new Promise((answer) => {
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
    dialog.addEventListener('close', () => {
      dialog.remove();
      answer(dialog.returnValue === 'yes');
    });
    document.body.append(dialog);
    dialog.showModal();
  });
}
