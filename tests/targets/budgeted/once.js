// Lives for as long as it computes, in `parse`: `node once.js MILLISECONDS [exit]`.
'use strict';

function parse(milliseconds) {
  const until = Date.now() + milliseconds;
  while (Date.now() < until);
}

setTimeout(() => {
  parse(Number(process.argv[2]));
  if (process.argv[3] === 'exit') process.exit(0);
}, 50);
