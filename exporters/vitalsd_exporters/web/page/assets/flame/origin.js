/*
Whose code a function is, told from its file and its name: the service's own, a package's, the standard library's, a
framework's, the event loop's. The same as `agent/vitalsd/detect/machinery.py` says, which a test compares.
*/

const FRAMEWORKS =
  'aiohttp|anyio|asgiref|billiard|celery|click|django|fastapi|flask|gunicorn|h11|h2|httptools|hypercorn|kombu|' +
  'litestar|quart|sanic|sentry_sdk|starlette|starlette_context|tornado|typer|uvicorn|websockets|werkzeug|wsproto';
const NODE_FRAMEWORKS =
  'express|router|finalhandler|raw-body|fastify|avvio|find-my-way|koa|koa-compose|@hapi|@nestjs|next';
const NODE_PLUMBING =
  'events|net|async_hooks|_http_\\w+|internal/(?:async_hooks|stream_base_commons|streams/\\w+|process/\\w+)';
const PACKAGES = /\/(?:site|dist)-packages\/|\/node_modules\/|\/[^/]+\.egg\//;
const IN_FRAMEWORK = new RegExp(
  `/(?:site|dist)-packages/(?:${FRAMEWORKS})/|/node_modules/(?:${NODE_FRAMEWORKS})/|` +
    `^(?:${FRAMEWORKS})/|^node:(?:${NODE_PLUMBING})$`,
);
const IN_STANDARD =
  /\/lib(?:64)?\/python\d(?:\.\d+)?t?\/|\/lib\/(?:pypy|pyodide)|^node:|^internal\/|^native$|^<frozen /;
const GENERATED = /^<(?:frozen|attrs|__array_function__|decorator-gen|makefun|template|eval_with_key)/;
const LAUNCHER = /\/bin\/[^/]+(?<!\.py)$/;
const LOOP = new RegExp(
  '(?:^|/)asyncio/[a-z_]+\\.py$|(?:^|/)uvloop/|(?:^|/)gevent/|(?:^|/)selectors\\.py$|(?:^|/)nest_asyncio\\.py$|' +
    '(?:^|/)(?:vitalsd|site-packages)/(?:probe|vitalsd_probe)/|(?:^|/)_?vitalsd_probe(?:/|\\.py$)|' +
    '^(?:node:)?internal/(?:process/task_queues|timers|process/promises|async_hooks)|' +
    'anyio/_backends/_asyncio\\.py$',
);
const UNNAMED = /^(?:__.*__|<.*>)$/;
const NAMED = /\/(?:site|dist)-packages\/([^/]+)|.*\/node_modules\/((?:@[^/]+\/)?[^/]+)|\/([^/]+)\.egg\//;

/** The kinds of code, in the order in which somebody looks for a culprit; a census has types, which are none. */
export const ORIGINS = ['own', 'package', 'standard', 'framework', 'loop', 'type'];

/** What the kinds are called. */
export const ORIGIN_WORDS = {
  own: 'own code',
  package: 'packages',
  standard: 'standard library',
  framework: 'framework',
  loop: 'event loop',
  type: 'types',
};

/** The kind of a function, by its name and its file. */
export function originOf(name, file) {
  if (LOOP.test(file)) return 'loop';
  if (IN_FRAMEWORK.test(file)) return 'framework';
  if (PACKAGES.test(file)) return 'package';
  if (IN_STANDARD.test(file) || GENERATED.test(file) || LAUNCHER.test(file) || file === '') return 'standard';
  const last = name.slice(name.lastIndexOf('.') + 1);
  return file === '<string>' && UNNAMED.test(last) ? 'standard' : 'own';
}

/** The package that a file belongs to, by its path; none where that does not say it. */
export function packageOf(file) {
  const found = NAMED.exec(file);
  return found === null ? '' : (found[1] ?? found[2] ?? found[3]).replace(/\.py$/, '');
}
