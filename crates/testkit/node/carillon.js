// The built node under test: starts it on a free port with its own data folder, mints tokens, speaks REST to it.

import { mkdtemp, rm } from "node:fs/promises";
import { request } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { clientOf } from "./client.js";
import { assertDescribed } from "./description.js";
import { binary, freePort, ServerProcess } from "./process.js";
import { mint } from "./token.js";
import { within } from "./wire.js";

export const SECRET = "a secret of the tests, longer than thirty-two bytes";
export const SECRET_BEFORE = "the secret before it, also longer than thirty-two bytes";

let names = 0;
/** A user id that no other test of this file uses, without `_`. */
export const someone = (name = "user") => `${name}${(names += 1)}`;

/** The id of the chat of two users. */
export const chatOf = (...users) => users.sort().join("_");

/** Runs the binary to its end: `{ code, signal, output }`. */
export async function run(args, env = {}) {
  const command = new ServerProcess(binary("carillon", "CARILLON_BIN"), args, { PATH: process.env.PATH, ...env });
  const end = await within(command.exited, `the end of carillon ${args.join(" ")}`);
  return { ...end, output: command.output };
}

/**
 * Starts a node and waits until it is ready. `env` adds to or, with `undefined`, takes from its environment;
 * `dataDir` names a folder that outlives it, `port` a port, `healthPort` the one that `/readyz` is asked on, `readiness` what
 * that must answer, `settled` is for its clients, `under` a command that becomes the node.
 */
export async function startNode({ env = {}, args = [], dataDir, port, healthPort, readiness = 200, settled, under = [] } = {}) {
  const folder = dataDir ?? (await mkdtemp(join(tmpdir(), "carillon-test-")));
  port ??= await freePort();
  const environment = {
    PATH: process.env.PATH,
    PORT: String(port),
    JWT_SECRET: SECRET,
    CARILLON_BIND: "127.0.0.1",
    CARILLON_DATA_DIR: folder,
    ...env,
  };
  for (const [name, value] of Object.entries(environment)) if (value === undefined) delete environment[name];
  const [program, ...given] = [...under, binary("carillon", "CARILLON_BIN"), "serve", ...args];
  const process_ = new ServerProcess(program, given, environment);
  const node = new CarillonNode(process_, port, { folder: dataDir ? undefined : folder, settled });
  try {
    await process_.answers(`http://127.0.0.1:${healthPort ?? port}/readyz`, readiness);
  } catch (error) {
    await node.stop();
    throw error;
  }
  return node;
}

/** Carillon as its clients know it, behind one port: a node, or a balancer in front of several. */
export class Gateway {
  #clients = [];
  #settled;

  constructor(port, settled) {
    this.port = port;
    this.url = `http://127.0.0.1:${port}`;
    this.endpoint = `${this.url}/socket.io/`;
    this.#settled = settled;
  }

  /** A good token for a user; `claims` adds to it. */
  token(user, claims = {}) {
    return mint({ userId: user, ...claims }, SECRET);
  }

  /** An official client that has not connected yet. `as` names a user, or nobody; `auth` overrules what it sends. */
  client(as, options = {}) {
    const auth = as === undefined ? undefined : { token: this.token(as) };
    const client = clientOf(this.url, { auth, settled: this.#settled, ...options });
    this.#clients.push(client);
    return client;
  }

  /** A connected official client. */
  async connect(as, options) {
    const client = this.client(as, options);
    await client.connect();
    return client;
  }

  /** Connects users side by side: `const [alice, bob] = await node.connectAll("alice", "bob")`. */
  connectAll(...users) {
    return Promise.all(users.map((user) => this.connect(user)));
  }

  /** The error of a handshake that must be refused. */
  async refusal(auth, options = {}) {
    const client = this.client(undefined, { auth, ...options });
    try {
      return await client.refusal();
    } finally {
      client.close();
    }
  }

  /**
   * A REST request: `{ status, headers, text, body }`, `body` parsed where the answer is JSON. `as` is a user, `token`
   * a token or `null` for none; an object as `json` becomes the body. Every answer must be as the description says.
   */
  async rest(method, path, { as, token = as === undefined ? null : this.token(as), json, body, headers = {} } = {}) {
    const all = { ...headers };
    if (token !== null) all.authorization = `Bearer ${token}`;
    if (json !== undefined) all["content-type"] ??= "application/json";
    const response = await within(
      fetch(this.url + path, { method, headers: all, body: json === undefined ? body : JSON.stringify(json) }),
      `${method} ${path}`,
    );
    const text = await response.text();
    assertDescribed(method, path, { status: response.status, headers: response.headers, text });
    const isJson = /^application\/json/.test(response.headers.get("content-type") ?? "");
    return { status: response.status, headers: response.headers, text, body: isJson ? JSON.parse(text) : undefined };
  }

  get(path, options) {
    return this.rest("GET", path, options);
  }

  /** A request whose path is sent byte for byte, with any header: `{ status, headers, text }`. */
  async raw(method, path, { headers = {}, body } = {}) {
    const answer = new Promise((resolve, reject) => {
      const call = request({ host: "127.0.0.1", port: this.port, method, path, headers, agent: false }, (response) => {
        const chunks = [];
        response.on("data", (chunk) => chunks.push(chunk));
        response.on("end", () => {
          resolve({ status: response.statusCode, headers: response.headers, text: Buffer.concat(chunks).toString() });
        });
      });
      call.on("error", reject).end(body);
    });
    const { status, headers: received, text } = await within(answer, `${method} ${path}`);
    assertDescribed(method, path, { status, headers: new Headers(received), text });
    return { status, headers: received, text };
  }

  closeClients() {
    for (const client of this.#clients) client.close();
  }
}

class CarillonNode extends Gateway {
  #folder;

  constructor(process_, port, { folder, settled }) {
    super(port, settled);
    this.process = process_;
    this.#folder = folder;
  }

  /** The value of a metric, or the sum over its labels; `undefined` where it is not told. */
  async metric(name) {
    const { text } = await this.get("/metrics");
    const lines = text.split("\n").filter((line) => line.startsWith(`${name} `) || line.startsWith(`${name}{`));
    const values = lines.map((line) => Number(line.slice(line.lastIndexOf(" ") + 1)));
    return values.length === 0 ? undefined : values.reduce((sum, value) => sum + value);
  }

  /** Ends all clients and the process; `{ code, signal }`. */
  async stop(signal) {
    this.closeClients();
    const end = await this.process.stop(signal);
    if (this.#folder) await rm(this.#folder, { recursive: true, force: true });
    return end;
  }
}

