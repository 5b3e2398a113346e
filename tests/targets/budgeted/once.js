// Lives for as long as it computes, in `parse`: `node once.js MILLISECONDS [exit]`, of a processor.
'use strict';

function parse(milliseconds) {
  const until = process.cpuUsage().user + milliseconds * 1e3;
  while (process.cpuUsage().user < until);
}

setTimeout(() => {
  parse(Number(process.argv[2]));
  if (process.argv[3] === 'exit') process.exit(0);
}, 50);
