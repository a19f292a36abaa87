// Carillon's conformance server beside Node servers: what their API offers over all servers, asked of Carillon.

import { clientOf } from "../client.js";
import { binary, freePort, ServerProcess } from "../process.js";

export class CarillonPeer {
  #process;
  #clients = [];
  /** Clients that wait for nothing: what one asks is done in turn. */
  #idle = [];

  /** `wire` is `classic` or `sharded`. */
  static async start(redisUrl, wire) {
    const peer = new CarillonPeer();
    const port = await freePort();
    const args = ["--port", String(port), "--redis", redisUrl, ...(wire === "sharded" ? ["--sharded"] : [])];
    peer.#process = new ServerProcess(binary("conformance-server", "CARILLON_CONFORMANCE"), args, { PATH: process.env.PATH });
    peer.url = `http://127.0.0.1:${port}`;
    await peer.#process.answers(`${peer.url}/engine.io/?EIO=4&transport=none`, 400);
    return peer;
  }

  get hasCrashed() {
    return this.#process.end !== undefined;
  }

  get output() {
    return this.#process.output;
  }

  /** Lets the server do one of its operations, those of a Node server under the same names. */
  async call(name, ...args) {
    const caller = this.#idle.pop() ?? (await this.connect());
    const { value, error } = await caller.ask("call", name, ...args);
    this.#idle.push(caller);
    if (error !== undefined) throw new Error(error);
    return value;
  }

  /** A connected client of this server, in these rooms, to which other servers can send. */
  async connect(...rooms) {
    const client = clientOf(this.url, { auth: { rooms } });
    this.#clients.push(client);
    return client.connect();
  }

  async stop() {
    for (const client of this.#clients) client.close();
    await this.#process.stop("SIGKILL");
  }
}
