// The same from a module of its own kind, at its top level and in a function: `node blocks.mjs FIFO`.
import { readFileSync, readlinkSync, writeSync } from "node:fs";

export const load = (path) => {
  const thread = Number(readlinkSync("/proc/thread-self").split("/").pop());
  writeSync(1, `ready ${JSON.stringify({ thread, frames: [["load", import.meta.url], ["", import.meta.url]] })}\n`);
  readFileSync(path);
};

load(process.argv[2]);
