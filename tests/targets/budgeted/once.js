// Lives for as long as it computes, in `parse`: `node once.js MILLISECONDS [exit]`, of a processor.
'use strict';

function parse(milliseconds) {
  const until = process.cpuUsage().user + milliseconds * 1e3;
  let sum = 0;
  while (process.cpuUsage().user < until) for (let i = 0; i < 1e6; i++) sum += i;
  return sum;
}

setTimeout(() => {
  parse(Number(process.argv[2]));
  if (process.argv[3] === 'exit') process.exit(0);
}, 50);
