// Fills its heap until V8 ends it: `fills_heap.js MIB MIB_A_SECOND` has MIB at once and then so much more a second;
// `fills_heap.js wave` has garbage fill it that only full collections take. It turns its loop meanwhile.
"use strict";

const STEP_MS = 20;
const ITEMS = 100;
const ORDER_BYTES = 8 * ITEMS + 100;
const WAVE = 45_000;
const [how, perSecond] = [process.argv[2], Number(process.argv[3])];
const kept = [];
let owed = how === "wave" ? 0 : Number(how) * 2 ** 20;
let made = 0;

class Order {
  constructor(number) {
    this.number = number;
    this.lines = Array.from({ length: ITEMS }, (_, index) => number + index / 7);
  }
}

function takeOrders() {
  for (owed += perSecond * 2 ** 20 * (STEP_MS / 1e3); owed > ORDER_BYTES; owed -= ORDER_BYTES) kept.push(new Order(made++));
}

function wave() {
  for (let times = 0; times < 400; times++) kept.push(new Order(made++));
  if (kept.length > WAVE) kept.length = 0;
}

// What every request does.
function render() {
  return JSON.stringify(Array.from({ length: 500 }, (_, index) => ({ id: index, of: made }))).length;
}

setInterval(() => {
  render();
  if (how === "wave") wave();
  else takeOrders();
}, STEP_MS);
console.log("ready");
