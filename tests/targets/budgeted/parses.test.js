// A suite for `node --test`: one of its tests computes for half a second.
'use strict';

const { test } = require('node:test');

function parse(milliseconds) {
  const until = process.cpuUsage().user + milliseconds * 1e3;
  let sum = 0;
  while (process.cpuUsage().user < until) for (let i = 0; i < 1e6; i++) sum += i;
  return sum;
}

test('is quick', () => {});
test('is slow', async () => {
  await new Promise((resolve) => setTimeout(resolve, 100));
  parse(500);
});
