/*
Asks for a capture. A placeholder: it says what to do in a terminal.
*/

import { fill, h } from './dom.js';

/** A dialog in which somebody asks for a capture of this worker. */
export function askForCapture(app, { target, worker }) {
  const dialog = h('dialog', { 'aria-label': 'Ask for a capture' });
  const whom = worker === null || worker === undefined ? target : `${target}/${worker}`;
  const close = h('button', { type: 'button', on: { click: () => dialog.close() } }, 'Close');
  fill(dialog, h('p', {}, 'In a terminal: ', h('code', {}, `vitalsd capture stacks ${whom}`)), close);
  dialog.addEventListener('close', () => dialog.remove());
  document.body.append(dialog);
  dialog.showModal();
  return dialog;
}
