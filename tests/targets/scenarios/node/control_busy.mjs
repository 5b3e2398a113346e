// A healthy control: a web service under light load, at some 70 % of a core, no request longer than 2 ms.
import http from "node:http";
import scenery from "./scenery.js";

const { now, play, sleep, spin } = scenery;
const agent = new http.Agent({ keepAlive: true });

function answer(request, response) {
  spin(0.0015);
  response.end("hello");
}

const server = http.createServer(answer);

function ask() {
  return new Promise((resolve, reject) => {
    const { port } = server.address();
    const asked = http.get({ agent, port, host: "127.0.0.1" }, (answered) => answered.resume().on("end", resolve));
    asked.on("error", reject);
  });
}

async function serve(seconds) {
  const end = now() + seconds + 0.5;
  while (now() < end) {
    await ask();
    await sleep(0.001);
  }
}

server.listen(0, "127.0.0.1", () => play(serve));
