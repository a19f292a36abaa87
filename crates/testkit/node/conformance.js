// The server under test of the protocol rules: Engine.IO echo at /engine.io/, Socket.IO at /socket.io/.

import { binary, freePort, ServerProcess } from "./process.js";

/** Starts the binary with its short timers; `stop()` ends it. */
export async function startConformanceServer() {
  const port = await freePort();
  const path = binary("conformance-server", "CARILLON_CONFORMANCE");
  const server = new ServerProcess(path, ["--port", String(port)], { PATH: process.env.PATH });
  const url = `http://127.0.0.1:${port}`;
  await server.answers(`${url}/engine.io/?EIO=4&transport=none`, 400);
  return { engine: `${url}/engine.io/`, socket: `${url}/socket.io/`, stop: () => server.stop() };
}
