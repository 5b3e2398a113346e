/* The kinds of captures: what each tells and what it costs the service, by its runtime. The figures are docs/design.md's. */

/** In the order in which they are offered. */
export const KINDS = [
  {
    kind: 'stacks',
    tells: 'What is being done at this moment: stacks of threads and, in Python, what asyncio tasks wait for.',
    python:
      'A moment. Nothing is stopped; where only the probe can tell, the interpreter is held for 0.3 ms at a time.',
    node: 'A moment; the main thread alone. While native code runs there is no answer.',
  },
  {
    kind: 'cpu',
    seconds: '15 s unless configured otherwise',
    tells: 'Where the time goes, by function: a flame graph.',
    python: 'Nothing is stopped. Beside the service some 4 % of a core, 30 % at the most.',
    node: 'About 2 % of what a saturated service does; its loop is held for 5 to 25 ms as it begins and ends.',
  },
  {
    kind: 'memory',
    seconds: '1 min unless configured otherwise',
    tells: 'What is allocated meanwhile and still there at the end, by function.',
    python:
      'A saturated service does a third of its work meanwhile; its loop is late by 5 to 10 ms as it begins and ends.',
    node: 'Its loop is held for 5 to 12 ms as it begins and ends.',
  },
  {
    kind: 'heap',
    tells: 'What lives in memory, by type, what has grown since the last time, and who holds it.',
    python:
      '0.3 s of a processor in steps of a millisecond or two, and up to 4 s of one to find who holds what grows.',
    node: 'V8 stops the service: 0.1 s for each MiB of small objects. It needs nine times the heap of memory.',
    stops: true,
  },
];

/** What one tells, for who waits for it. */
export function tellsOf(kind) {
  return KINDS.find((each) => each.kind === kind)?.tells ?? '';
}

/** What one costs, of a service with this runtime; of both where that is not known. */
export function costOf(kind, runtime) {
  const one = KINDS.find((each) => each.kind === kind);
  if (one === undefined) return '';
  if (runtime === 'python') return one.python;
  if (runtime === 'node') return one.node;
  return `Python: ${one.python} Node: ${one.node}`;
}

/** Whether it stops a service with this runtime for long. */
export function stops(kind, runtime) {
  return runtime !== 'python' && KINDS.some((each) => each.kind === kind && each.stops === true);
}
