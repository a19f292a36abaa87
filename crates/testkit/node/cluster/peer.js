// A Node server beside Carillon's nodes, in a process of its own, so that a crash is seen.

import { fork } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";
import { clientOf } from "../client.js";
import { within } from "../wire.js";

const PROGRAM = fileURLToPath(new URL("./node-server.js", import.meta.url));

export class NodeServer {
  #child;
  #clients = [];
  #asked = 0;
  #waiting = new Map();
  output = "";

  /** `wire` is `classic` or `sharded`. */
  static async start(redisUrl, wire) {
    const server = new NodeServer();
    const child = fork(PROGRAM, [redisUrl, wire], { serialization: "advanced", stdio: ["ignore", "pipe", "pipe", "ipc"] });
    for (const stream of [child.stdout, child.stderr]) stream.setEncoding("utf8").on("data", (text) => (server.output += text));
    server.#child = child;
    const [{ port }] = await within(once(child, "message"), "a Node server");
    server.url = `http://127.0.0.1:${port}`;
    child.on("message", ({ id, ...answer }) => {
      server.#waiting.get(id)(answer);
      server.#waiting.delete(id);
    });
    await server.call("subscribed");
    return server;
  }

  get hasCrashed() {
    return this.#child.exitCode !== null || this.#child.signalCode !== null;
  }

  /** Lets the server do one of its operations. An error has the `responses` that came all the same. */
  async call(name, ...args) {
    const id = (this.#asked += 1);
    const answered = new Promise((resolve) => this.#waiting.set(id, resolve));
    this.#child.send({ id, name, args });
    const { value, error, responses } = await within(answered, `${name} of a Node server\n${this.output}`);
    if (error !== undefined) throw Object.assign(new Error(error), { responses });
    return value;
  }

  /** A connected client of this server, in these rooms, to which other servers can send. */
  async connect(...rooms) {
    const client = clientOf(this.url, { auth: { rooms } });
    this.#clients.push(client);
    await client.connect();
    await this.call("subscribed");
    return client;
  }

  /** It keeps its connections and says nothing. */
  freeze() {
    this.#child.kill("SIGSTOP");
  }

  thaw() {
    this.#child.kill("SIGCONT");
  }

  async stop() {
    for (const client of this.#clients) client.close();
    if (this.hasCrashed) return;
    const exited = once(this.#child, "exit");
    this.#child.kill("SIGKILL");
    await exited;
  }
}
