'use strict';
/* The CPU time of this thread: one read of an open file, some microseconds, sixty where its code has left the caches. */

const fs = require('node:fs');

const FILE = '/proc/thread-self/schedstat';

/** A function that tells the CPU seconds of the thread that has called this; NaN where the kernel does not tell. */
function cpuReader() {
  const { openSync, readSync } = fs;
  const buffer = Buffer.alloc(96);
  let descriptor;
  try {
    descriptor = openSync(FILE, 'r');
  } catch {
    return () => NaN;
  }
  return () => {
    try {
      const length = readSync(descriptor, buffer, 0, buffer.length, 0);
      const seconds = Number(buffer.latin1Slice(0, length).split(' ', 1)[0]) / 1e9;
      return seconds > 0 ? seconds : NaN;
    } catch {
      return NaN; // somebody has closed it
    }
  };
}

/** The kernel's number of the thread that has called this, in the pid namespace of the service. */
function threadId() {
  try {
    return Number(fs.readlinkSync('/proc/thread-self').split('/').pop());
  } catch {
    return process.pid;
  }
}

module.exports = { cpuReader, threadId };
