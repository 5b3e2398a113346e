/*
Makes every element of the page: elements, a fixed set of attributes, and text. Nothing here parses HTML, so a name
that a service has chosen can at worst look odd.
*/

const SVG = 'http://www.w3.org/2000/svg';
const PLAIN = new Set([
  ...[
    'class',
    'id',
    'title',
    'type',
    'value',
    'name',
    'for',
    'role',
    'tabindex',
    'scope',
    'colspan',
    'disabled',
    'hidden',
  ],
  ...[
    'placeholder',
    'autocomplete',
    'min',
    'max',
    'step',
    'selected',
    'checked',
    'open',
    'download',
    'target',
    'rel',
    'lang',
  ],
]);
const DRAWN = new Set([
  ...[
    'd',
    'x',
    'y',
    'x1',
    'y1',
    'x2',
    'y2',
    'cx',
    'cy',
    'r',
    'rx',
    'ry',
    'width',
    'height',
    'points',
    'transform',
    'viewBox',
  ],
  ...['fill', 'stroke', 'stroke-width', 'stroke-dasharray', 'stroke-linecap', 'text-anchor', 'dominant-baseline'],
  ...['preserveAspectRatio', 'vector-effect', 'pathLength'],
]);
const HERE = /^(#|\/(?!\/))/;
const ELSEWHERE = /^https?:\/\//;

/** An HTML element with these attributes and children; strings are text, null, undefined and false are left out. */
export function h(tag, attributes = {}, ...children) {
  return made(document.createElement(tag), attributes, children, PLAIN);
}

/** The same of an SVG element. */
export function s(tag, attributes = {}, ...children) {
  return made(document.createElementNS(SVG, tag), attributes, children, DRAWN);
}

/** A link to another host, which is not told where its reader comes from. */
export function outward(address, ...children) {
  if (!ELSEWHERE.test(address)) throw new TypeError(`${address} is no address of a page`);
  const link = h('a', { rel: 'noreferrer', target: '_blank' }, ...children);
  link.setAttribute('href', address);
  return link;
}

/** Have `place` hold these children and no others. */
export function fill(place, ...children) {
  place.replaceChildren(...nodes(children));
  return place;
}

/** Have `node` say this; nothing is touched where it does already. */
export function text(node, string) {
  if (node.textContent !== string) node.textContent = string;
  return node;
}

/** Set a custom property that the stylesheet draws by, such as the share that a bar shows. */
export function vary(node, name, value) {
  node.style.setProperty(`--${name}`, String(value));
  return node;
}

/** Set one attribute; null takes it away. */
export function set(node, name, value) {
  if (value === null || value === undefined || value === false) node.removeAttribute(name);
  else put(node, name, value, node.namespaceURI === SVG ? DRAWN : PLAIN);
  return node;
}

/** A part of a view under its heading, with a hint beside that. */
export function section(title, hint, ...children) {
  const header = h('header', {}, h('h2', {}, title), hint && h('span', { class: 'hint' }, hint));
  return h('section', { class: 'section', 'aria-label': title }, header, children);
}

function made(node, attributes, children, known) {
  for (const [name, value] of Object.entries(attributes)) {
    if (name === 'on') listen(node, value);
    else if (value !== null && value !== undefined && value !== false) put(node, name, value, known);
  }
  node.append(...nodes(children));
  return node;
}

function put(node, name, value, known) {
  if (name === 'href') {
    if (!HERE.test(value))
      throw new TypeError(`a link leads somewhere on this page or this host, not to ${value}`);
  } else if (!known.has(name) && !PLAIN.has(name) && !/^(aria|data)-[a-z-]+$/.test(name)) {
    throw new TypeError(`there is no attribute ${name}`);
  }
  if (name === 'value') node.value = value;
  node.setAttribute(name, value === true ? '' : String(value));
}

function listen(node, handlers) {
  for (const [event, handler] of Object.entries(handlers)) node.addEventListener(event, handler);
}

function nodes(children) {
  return children
    .flat(Infinity)
    .filter((child) => child !== null && child !== undefined && child !== false)
    .map((child) => (child instanceof Node ? child : document.createTextNode(String(child))));
}
