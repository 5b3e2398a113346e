/*
Runs a script that has modules of the page: `node modules.mjs FOLDER`, with `{script, given}` on standard input. They
are `.js` files, which a browser takes for modules where it is told so; Node is told here.
*/

import { register } from 'node:module';
import { pathToFileURL } from 'node:url';
import { readFileSync } from 'node:fs';

const HOOKS = `
export const load = (url, context, next) => next(url, url.endsWith('.js') ? { ...context, format: 'module' } : context);
`;

register(`data:text/javascript,${encodeURIComponent(HOOKS)}`);
const folder = pathToFileURL(`${process.argv[2]}/`);
const { script, given } = JSON.parse(readFileSync(0, 'utf8'));
const load = (name) => import(new URL(name, folder));
const AsyncFunction = (async () => {}).constructor;
const answer = await new AsyncFunction('load', 'given', script)(load, given);
process.stdout.write(JSON.stringify(answer ?? null));
