/* A dialog above the page: Escape closes it, and so does going elsewhere; closed, it is gone. */

/** Opens it; a promise of what it was closed with, empty where nobody has answered. */
export function modal(dialog) {
  return new Promise((answered) => {
    const leave = () => dialog.close('');
    window.addEventListener('hashchange', leave);
    dialog.addEventListener('close', () => {
      window.removeEventListener('hashchange', leave);
      dialog.remove();
      answered(dialog.returnValue);
    });
    document.body.append(dialog);
    dialog.showModal();
  });
}
