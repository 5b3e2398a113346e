'use strict';
/*
The control socket of a process: an agent asks for the stack of the main thread, a profile or a snapshot.

Served by the watchdog's thread, which waits for nobody. What is asked is a number, out of a few, as `protocol.py` of
the Python probe says; what cannot be understood, or comes too slowly, costs its sender the connection and nobody else
anything. Who asks cannot be told by Node: so the file is made in a folder that nobody else can enter, and has its
mode before it has its place.
*/

const fs = require('node:fs');
const net = require('node:net');
const path = require('node:path');

const { Capture } = require('./capture');
const { control } = require('./layout.json');
const { Stacks } = require('./stacks');
const { plain } = require('./stalls');

const PATIENCE_MS = 2000;
const STACK_PATIENCE_MS = 5000;
const LEAVING_LOOK_MS = 10;
const MOST_CALLERS = 4;
const STREAMED = [control.CPU, control.ALLOCATIONS, control.SNAPSHOT];

class Control {
  /** `memory` is what the threads of the process share. */
  constructor(segment, { memory, leaving, sessions }) {
    this._path = segment + control.SUFFIX;
    this._shared = { memory, leaving, sessions };
    this._server = null;
    this._callers = new Set();
    this._capture = null;
  }

  /** Listen beside the segment. Where that fails there is no socket, and the probe is what it is without. */
  listen() {
    let folder = -1;
    let aside = '';
    const clean = () => {
      if (folder !== -1) fs.closeSync(folder);
      if (aside !== '') fs.rmSync(aside, { recursive: true, force: true });
      folder = -1;
      aside = '';
    };
    try {
      aside = fs.mkdtempSync(path.join(path.dirname(this._path), '.vitalsd-'));
      // By its open folder, since an address has room for 107 bytes.
      folder = fs.openSync(aside, fs.constants.O_RDONLY | fs.constants.O_DIRECTORY);
      const server = net.createServer((socket) => this._onCaller(socket));
      server.maxConnections = MOST_CALLERS;
      server.on('error', () => {
        clean();
        this.close();
      });
      server.listen(`/proc/self/fd/${folder}/socket`, () => {
        try {
          const made = path.join(aside, 'socket');
          fs.chmodSync(made, 0o600);
          fs.renameSync(made, this._path);
          clean();
        } catch {
          clean();
          this.close();
        }
      });
      server.unref();
      this._server = server;
    } catch {
      clean();
    }
  }

  /** Whether nobody is being served. */
  get isIdle() {
    return this._callers.size === 0 && this._capture === null;
  }

  /** Hang up, and take the socket away. */
  close() {
    const server = this._server;
    this._server = null;
    if (server === null) return;
    server.close();
    for (const socket of this._callers) socket.destroy();
    try {
      fs.unlinkSync(this._path);
    } catch {
      // somebody else has
    }
  }

  _onCaller(socket) {
    this._callers.add(socket);
    let request = Buffer.alloc(0);
    const patience = setTimeout(() => socket.destroy(), PATIENCE_MS);
    socket.on('error', () => {});
    socket.on('close', () => {
      clearTimeout(patience);
      this._callers.delete(socket);
    });
    socket.on('data', function read(piece) {
      request = Buffer.concat([request, piece]);
      if (request.length > control.REQUEST_BYTES) socket.destroy();
      if (request.length !== control.REQUEST_BYTES) return;
      clearTimeout(patience);
      socket.off('data', read);
      socket.resume();
      serve(request);
    });
    const serve = (whole) => {
      try {
        this._serve(socket, whole);
      } catch (error) {
        finish(socket, control.REFUSED, `${error?.name}: ${error?.message}`);
      }
    };
  }

  _serve(socket, request) {
    if (request.toString('latin1', 0, 8) !== control.MAGIC) {
      socket.destroy();
      return;
    }
    const known = request.readUInt16LE(8) === control.VERSION;
    const kind = request.readUInt16LE(10);
    const wide = request.readUInt32LE(12);
    const budget = Number(request.readBigUInt64LE(16));
    if (known && kind === control.STACKS) this._tellStack(socket);
    else if (known && STREAMED.includes(kind)) this._stream(socket, { kind, wide, budget });
    else finish(socket, control.REFUSED, 'the probe in this process does not know this request');
  }

  _tellStack(socket) {
    const stacks = new Stacks(this._shared.sessions);
    let over = false;
    const end = (status, text) => {
      if (over) return;
      over = true;
      clearTimeout(patience);
      clearInterval(looking);
      stacks.close();
      finish(socket, status, text);
    };
    const none = `its main thread has served nothing for ${STACK_PATIENCE_MS / 1e3} s: native code runs`;
    const patience = setTimeout(() => end(control.REFUSED, none), STACK_PATIENCE_MS);
    const looking = setInterval(() => this._shared.leaving.begun && end(control.REFUSED, 'it ends'), LEAVING_LOOK_MS);
    socket.on('close', () => end(control.REFUSED, ''));
    stacks.ask((_, frames, _passed, held) => {
      const rows = frames.map(([name, file, line]) => `${plain(name)}\t${plain(file)}\t${line}`);
      const head = `untold=0\theld_ns=${Math.round(held * 1e9)}`;
      end(control.DONE, [head, `${process.pid}\tMainThread`, ...rows].join('\n'));
    });
  }

  _stream(socket, wanted) {
    if (this._capture?.over) {
      // Its thread is about to end.
      this._capture.afterwards(() => !socket.destroyed && this._stream(socket, wanted));
      return;
    }
    if (this._capture !== null) {
      finish(socket, control.REFUSED, 'another capture of it is being taken');
      return;
    }
    let streaming = false;
    const capture = new Capture(this._shared, wanted, {
      begun: () => {
        streaming = true;
        socket.write(answer(control.STREAMED, ''));
      },
      piece: (bytes, taken) => socket.write(bytes, taken),
      told: (status, text) => {
        if (streaming && !socket.destroyed) socket.write(Buffer.alloc(control.FRAME_BYTES));
        finish(socket, status, text);
      },
      gone: () => {
        this._capture = null;
      },
    });
    this._capture = capture;
    socket.on('data', () => capture.end());
    socket.on('close', () => capture.giveUp());
  }
}

function answer(status, text) {
  const bytes = Buffer.from(text, 'utf8').subarray(0, control.MOST_TEXT_BYTES);
  const head = Buffer.alloc(control.ANSWER_BYTES);
  head.write(control.MAGIC, 0, 'latin1');
  head.writeUInt16LE(control.VERSION, 8);
  head.writeUInt16LE(status, 10);
  head.writeUInt32LE(bytes.length, 12);
  return Buffer.concat([head, bytes]);
}

/** The last word to a caller, who has a moment to take it. */
function finish(socket, status, text) {
  if (socket.destroyed) return;
  socket.setTimeout(PATIENCE_MS, () => socket.destroy());
  socket.end(answer(status, text));
}

module.exports = { Control };
