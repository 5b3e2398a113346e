// A regular expression that takes the square of the text's length: white space that never ends, and then a letter.
import scenery from "./scenery.js";

const { now, play } = scenery;
const TRAILING = /\s+$/;

function trimComment(text) {
  return TRAILING.test(text);
}

function text(length) {
  return " ".repeat(length) + "x";
}

const SAMPLE = 20000;
trimComment(text(SAMPLE)); // compiled by now
const began = now();
trimComment(text(SAMPLE));
const cost = (now() - began) / SAMPLE / SAMPLE;

function trimOne(seconds) {
  const comment = text(Math.round(Math.sqrt(seconds / cost)));
  const began = now();
  trimComment(comment);
  return { began, ended: now() };
}

play(trimOne, "blocking_cpu", "trimComment");
