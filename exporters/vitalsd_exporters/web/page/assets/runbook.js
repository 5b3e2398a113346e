/* Which page of docs an incident has, as `vitalsd_exporters.runbooks` says it; a test holds both together. */

import { h, outward } from './dom.js';

const CAUSES = new Set([
  'blocking_cpu',
  'blocking_call',
  'disk_io',
  'gc_pause',
  'gil_contention',
  'lock_wait',
  'ready_flood',
  'microtask_flood',
  'cpu_throttled',
  'cpu_contention',
  'page_faults',
  'swap',
  'stopped',
  'host_wide',
  'unknown',
]);

/** From the root of the repository; of a stall its cause has a section there. */
export function pageOf(kind, cause = null) {
  const section = kind === 'stall' && CAUSES.has(cause) ? `#${cause}` : '';
  return `docs/incidents/${kind}.md${section}`;
}

/** A link to where people read the page of an incident, or its path in the repository where nobody has said that. */
export function runbook({ kind, cause }, runbooks) {
  const page = pageOf(kind, cause);
  return runbooks ? outward(`${runbooks.replace(/\/$/, '')}/${page}`, page) : h('code', {}, page);
}
