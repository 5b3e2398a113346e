// Native code that computes: a password is hashed on the loop.
"use strict";
const crypto = require("crypto");
const { now, play } = require("./scenery.js");

function hashPassword(rounds) {
  return crypto.pbkdf2Sync("correct horse", "battery staple", rounds, 64, "sha512");
}

const SAMPLE = 50000;
const began = now();
hashPassword(SAMPLE);
const cost = (now() - began) / SAMPLE;

function logIn(seconds) {
  hashPassword(Math.round(seconds / cost));
}

play(logIn, "blocking_cpu", "hashPassword");
