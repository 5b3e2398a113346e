/* A dialog above the page: Escape closes it, and so does going elsewhere; closed, it is gone. */

/** Opens it, until a signal is given if there is one; a promise of what it was closed with, empty where nobody has. */
export function modal(dialog, until = null) {
  return new Promise((answered) => {
    const leave = () => dialog.close('');
    window.addEventListener('hashchange', leave);
    until?.addEventListener('abort', leave);
    dialog.addEventListener('close', () => {
      window.removeEventListener('hashchange', leave);
      dialog.remove();
      answered(dialog.returnValue);
    });
    document.body.append(dialog);
    dialog.showModal();
  });
}
