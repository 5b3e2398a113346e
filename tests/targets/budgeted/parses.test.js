// A suite for `node --test`: one of its tests computes for half a second.
'use strict';

const { test } = require('node:test');

function parse(milliseconds) {
  const until = Date.now() + milliseconds;
  while (Date.now() < until);
}

test('is quick', () => {});
test('is slow', async () => {
  await new Promise((resolve) => setTimeout(resolve, 100));
  parse(500);
});
