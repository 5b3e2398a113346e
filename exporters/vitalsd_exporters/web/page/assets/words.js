/*
Figures and times as people read them. What is not known is a dash, and never zero.
*/

export const UNKNOWN = '–';
const NARROW = '\u00a0';
const UNITS = ['B', 'KiB', 'MiB', 'GiB', 'TiB', 'PiB'];
const MINUTE = 60;
const HOUR = 3600;
const DAY = 86_400;
const SPANS = [
  [DAY, 'd', HOUR, 'h'],
  [HOUR, 'h', MINUTE, 'min'],
  [MINUTE, 'min', 1, 's'],
];
/* Control characters, what turns the direction of writing, what has no width, and halves of characters. */
const UNSEEN =
  /[\p{Cc}\u00ad\u061c\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb\u{e0000}-\u{e007f}]|\p{Cs}/gu;

/** `0.4 ms`, `1.2 s`, `3 min 20 s`, `2 d 4 h`. */
export function duration(seconds) {
  if (!known(seconds)) return UNKNOWN;
  if (seconds < 0) return `-${duration(-seconds)}`;
  if (seconds === 0) return `0${NARROW}s`;
  if (seconds < 0.9995) return `${digits(seconds * 1000, 2)}${NARROW}ms`;
  if (seconds < MINUTE - 0.5) return `${digits(seconds, 2)}${NARROW}s`;
  const [unit, name, lesser, its] = SPANS.find(([span, , step]) => seconds >= span - step / 2);
  const steps = Math.round(seconds / lesser);
  const whole = Math.floor((steps * lesser) / unit);
  const rest = steps - (whole * unit) / lesser;
  return rest > 0 && whole < 100 ? `${whole}${NARROW}${name} ${rest}${NARROW}${its}` : `${whole}${NARROW}${name}`;
}

/** `128 MiB`, three digits of it. */
export function bytes(n) {
  if (!known(n)) return UNKNOWN;
  if (n < 0) return `-${bytes(-n)}`;
  let unit = 0;
  let value = n;
  while (value >= 999.5 && unit < UNITS.length - 1) {
    value /= 1024;
    unit += 1;
  }
  return `${unit === 0 ? Math.round(value) : digits(value, 3)}${NARROW}${UNITS[unit]}`;
}

/** `25 %`. */
export function share(x) {
  if (!known(x)) return UNKNOWN;
  if (x > 0 && x < 0.005) return `<1${NARROW}%`;
  return `${Math.round(x * 100)}${NARROW}%`;
}

/** `12,345`, `1.2 M`. */
export function count(n) {
  if (!known(n)) return UNKNOWN;
  if (Math.abs(n) >= 1e6) return `${digits(n / 1e6, 3)}${NARROW}M`;
  return n.toLocaleString('en-US', { maximumFractionDigits: 1 });
}

/** `12 s ago`, `in 3 h`: from `now`, which is milliseconds as Date.now() has them. */
export function ago(iso, now = Date.now()) {
  const at = Date.parse(iso);
  if (Number.isNaN(at)) return UNKNOWN;
  const seconds = (now - at) / 1000;
  if (seconds < -1) return `in ${rough(-seconds)}`;
  return seconds < 1 ? 'just now' : `${rough(seconds)} ago`;
}

/** `13:05:12 UTC`, with the date where it is not that of `now`: the time that logs and sentences have. */
export function clock(iso, now = Date.now()) {
  const at = new Date(iso ?? NaN);
  if (Number.isNaN(at.getTime())) return UNKNOWN;
  const told = at.toISOString();
  const day = told.slice(0, 10) === new Date(now).toISOString().slice(0, 10) ? '' : `${told.slice(0, 10)} `;
  return `${day}${told.slice(11, 19)}${NARROW}UTC`;
}

/** A text that a service has chosen: what would not be seen is made visible, and what is long is cut. */
export function plain(string, most = 200) {
  if (string === null || string === undefined) return UNKNOWN;
  const whole = String(string);
  const some = whole.length > most * 2 ? whole.slice(0, most * 2) : whole;
  const letters = [...some.replace(UNSEEN, shown)];
  return letters.length > most || some.length < whole.length
    ? `${letters.slice(0, most - 1).join('')}…`
    : letters.join('');
}

/** A sentence for a place that shows no code: without the backticks around it. */
export function spoken(sentence, most = 300) {
  return plain(sentence, most).replaceAll('`', '');
}

/** `1 worker`, `2 workers`. */
export function many(n, one, more = `${one}s`) {
  return `${count(n)}${NARROW}${n === 1 ? one : more}`;
}

/** The last part of a path. */
export function basename(path) {
  return plain(
    String(path ?? '')
      .split('/')
      .pop(),
  );
}

function known(value) {
  return typeof value === 'number' && Number.isFinite(value);
}

/** Rounded to so many significant digits, and without a tail of zeros. */
function digits(value, significant) {
  if (value >= 10 ** (significant - 1)) return String(Math.round(value));
  return String(Number(value.toPrecision(significant)));
}

/** One unit is enough for what is over. */
function rough(seconds) {
  if (seconds < 2 * MINUTE) return `${Math.round(seconds)}${NARROW}s`;
  if (seconds < 2 * HOUR) return `${Math.round(seconds / MINUTE)}${NARROW}min`;
  if (seconds < 2 * DAY) return `${Math.round(seconds / HOUR)}${NARROW}h`;
  return `${Math.round(seconds / DAY)}${NARROW}d`;
}

function shown(letter) {
  return letter.length === 1 && letter >= '\ud800' && letter <= '\udfff'
    ? '\ufffd'
    : `\\u{${letter.codePointAt(0).toString(16)}}`;
}
