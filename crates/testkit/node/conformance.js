// The server under test of the protocol rules: Engine.IO echo at /engine.io/, Socket.IO at /socket.io/.

import { binary, freePort, ServerProcess } from "./process.js";

/** So long that a busy machine keeps them, and pings are not waited for in vain. */
const PATIENT = { pingInterval: 2_000, pingTimeout: 30_000, connectTimeout: 30_000 };

/** Starts the binary with these timers, in milliseconds; `stop()` ends it. */
export async function startConformanceServer(timers = {}) {
  const port = await freePort();
  const { pingInterval, pingTimeout, connectTimeout } = { ...PATIENT, ...timers };
  const args = { port, "ping-interval": pingInterval, "ping-timeout": pingTimeout, "connect-timeout": connectTimeout };
  const path = binary("conformance-server", "CARILLON_CONFORMANCE");
  const server = new ServerProcess(path, Object.entries(args).map(([name, value]) => `--${name}=${value}`), { PATH: process.env.PATH });
  const url = `http://127.0.0.1:${port}`;
  await server.answers(`${url}/engine.io/?EIO=4&transport=none`, 400);
  return { engine: `${url}/engine.io/`, socket: `${url}/socket.io/`, stop: () => server.stop() };
}
