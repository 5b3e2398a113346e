// Promises that are there already, awaited one after the other: each step is short, and no event gets a turn.
import scenery from "./scenery.js";

const { now, play } = scenery;

async function fetchPage(number) {
  let total = 0;
  for (let step = 0; step < 500; step++) total += number * step;
  return total;
}

async function fetchAllPages(seconds) {
  const began = now();
  const end = Date.now() + seconds * 1000;
  for (let number = 0; Date.now() < end; number++) await fetchPage(number);
  return { began, ended: now() };
}

play(fetchAllPages, "microtask_flood", null);
