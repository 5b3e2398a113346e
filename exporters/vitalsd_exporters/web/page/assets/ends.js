/* How processes have ended, whatever of it is known: one in a sentence, several as a table. Pure. */

import { moment } from './figures.js';
import { clock, duration, plain } from './words.js';

const TOLD_BY = {
  kernel: 'told by the kernel',
  parent: 'told by /proc, before its parent had fetched it',
};
const PLAIN = new Set(['signal', 'error', 'unknown']);

/** `worker 1 (pid 11) ended by SIGSEGV after 1 h; 13:00:00, 20 s ago; told by the kernel`. */
export function end(told, now) {
  const said = `${who(told)} (pid ${plain(told.pid)}) ended ${how(told)}${lived(told)}`;
  const at = typeof told.ended_at === 'string' ? moment(told.ended_at, now) : '';
  const by = Object.hasOwn(TOLD_BY, told.told_by) ? TOLD_BY[told.told_by] : '';
  return [said, at, by].filter(Boolean).join('; ');
}

/** Several, the latest last, as they are told. */
export function endsAsTable(heading, rows, now) {
  return {
    heading,
    columns: [
      { title: 'when' },
      { title: 'who' },
      { title: 'pid', number: true },
      { title: 'how' },
      { title: 'lived', number: true },
    ],
    rows: rows.map((each) => [
      clock(each.ended_at, now),
      who(each),
      String(each.pid),
      how(each),
      duration(each.lived_seconds ?? null),
    ]),
    more: 0,
  };
}

function who(told) {
  return told.slot ? `worker ${plain(told.slot)}` : 'supervisor';
}

function how(told) {
  const reason = plain(told.reason);
  const more = PLAIN.has(reason) ? '' : ` (${reason})`;
  if (told.signal) return `by ${plain(told.signal)}${more}`;
  if (told.code !== null && told.code !== undefined) return `with exit code ${plain(told.code)}${more}`;
  return `nobody knows how${more}`;
}

function lived(told) {
  return typeof told.lived_seconds === 'number' ? ` after ${duration(told.lived_seconds)}` : '';
}
