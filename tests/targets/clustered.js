// Two workers by Node's cluster, each of which is replaced when it dies.
"use strict";
const cluster = require("cluster");

if (cluster.isPrimary) {
  cluster.on("exit", () => cluster.fork());
  cluster.fork();
  cluster.fork();
} else {
  setInterval(() => {}, 1000);
}
