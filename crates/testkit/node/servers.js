// The servers that a cluster is made of beside its nodes: Redis, a database of its own, the balancer; and a way to cut
// a connection between two of them.

import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { connect, createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { MongoClient } from "mongodb";
import { createClient } from "redis";
import { eventually, freePort, ServerProcess } from "./process.js";

const BALANCER = fileURLToPath(new URL("../../../deploy/haproxy/haproxy.cfg", import.meta.url));

/** The path of a server's program, as the environment names it, or its name on the PATH. */
const program = (name, variable) => process.env[variable] ?? name;

/** A Redis that holds nothing at first and nothing after a restart. */
export class RedisServer {
  #process;
  /** Where a replica puts what its master sends. */
  #folder;

  constructor(port) {
    this.port = port;
    this.url = `redis://127.0.0.1:${port}`;
  }

  static async start() {
    const server = new RedisServer(await freePort());
    await server.start();
    return server;
  }

  async start() {
    this.#folder = await mkdtemp(join(tmpdir(), "carillon-redis-"));
    const args = ["--bind", "127.0.0.1", "--port", String(this.port), "--dir", this.#folder, "--save", "", "--appendonly", "no"];
    args.push("--repl-diskless-sync-delay", "0");
    this.#process = new ServerProcess(program("redis-server", "CARILLON_TEST_REDIS_SERVER"), args, { PATH: process.env.PATH });
    await eventually(() => this.#ping(), { what: `Redis\n${this.#process.output}` });
  }

  async #ping() {
    if (this.#process.end) throw new Error(`Redis ended early: ${JSON.stringify(this.#process.end)}\n${this.#process.output}`);
    const socket = connect(this.port, "127.0.0.1", () => socket.write("PING\r\n")).setEncoding("utf8");
    const [answer] = await once(socket, "data").catch(() => [""]);
    socket.destroy();
    return answer.startsWith("+PONG");
  }

  /** Answers one command. */
  async command(...words) {
    const client = createClient({ url: this.url }).on("error", () => {});
    await client.connect();
    try {
      return await client.sendCommand(words);
    } finally {
      client.destroy();
    }
  }

  /** Another that holds what this one holds, as it changes, until it is told `REPLICAOF NO ONE`. */
  async replica() {
    const replica = await RedisServer.start();
    await replica.command("REPLICAOF", "127.0.0.1", String(this.port));
    const isInSync = async () => (await replica.command("INFO", "replication")).includes("master_link_status:up");
    await eventually(isInSync, { every: 100, what: "a replica in sync" });
    return replica;
  }

  /** It dies at once, and with it what it holds. */
  async kill() {
    await this.#process.stop("SIGKILL");
    await rm(this.#folder, { recursive: true, force: true });
  }

  /** It keeps its connections and says nothing. */
  freeze() {
    this.#process.signal("SIGSTOP");
  }

  thaw() {
    this.#process.signal("SIGCONT");
  }
}

let databases = 0;

/** A database of its own on the server that `CARILLON_TEST_MONGODB_URI` names. */
export class Database {
  constructor() {
    const server = process.env.CARILLON_TEST_MONGODB_URI;
    if (!server) throw new Error("CARILLON_TEST_MONGODB_URI names the MongoDB server of the tests");
    this.name = `carillon_test_${process.pid}_${Date.now().toString(36)}_${(databases += 1)}`;
    this.uri = server.replace(/^([^?]*?\/\/[^/?]+)\/?([^?]*)/, `$1/${this.name}`);
  }

  /** The address and port of the server. */
  get address() {
    const [, host, port] = this.uri.match(/\/\/(?:[^@/]*@)?([^:/,]+):?(\d+)?/);
    return { host, port: Number(port ?? 27017) };
  }

  /** The same database by way of a proxy. */
  through(proxy) {
    const uri = this.uri.replace(/\/\/((?:[^@/]*@)?)[^/]+/, `//$1127.0.0.1:${proxy.port}`);
    return `${uri}${uri.includes("?") ? "&" : "?"}directConnection=true`;
  }

  /** Calls `work` with the driver's database. */
  async use(work) {
    const client = await MongoClient.connect(this.uri);
    try {
      return await work(client.db(this.name));
    } finally {
      await client.close();
    }
  }

  drop() {
    return this.use((database) => database.dropDatabase());
  }
}

/** A way to a server that can be cut: its connections end, and further ones are refused. */
export class CuttableWay {
  #target;
  #server;
  #sockets = new Set();

  constructor(target) {
    this.#target = target;
  }

  /** A way from `port`, else a free one. */
  static async to(target, port) {
    const way = new CuttableWay(target);
    way.port = port ?? (await freePort());
    await way.mend();
    return way;
  }

  /** May be whole already. */
  async mend() {
    if (this.#server?.listening) return;
    this.#server = createServer((near) => {
      const far = connect(this.#target);
      for (const [one, other] of [[near, far], [far, near]]) {
        this.#sockets.add(one);
        one.on("error", () => {}).on("close", () => {
          this.#sockets.delete(one);
          other.destroy();
        });
        one.pipe(other);
      }
    }).listen(this.port, "127.0.0.1");
    await once(this.#server, "listening");
  }

  /** May be cut already. */
  async cut() {
    if (!this.#server.listening) return;
    const closed = once(this.#server, "close");
    this.#server.close();
    for (const socket of this.#sockets) socket.destroy();
    await closed;
  }
}

/** HAProxy before three nodes: each request and each WebSocket goes to the next one. Answers its process and its port. */
export async function startBalancer(ports) {
  const port = await freePort();
  const environment = { PATH: process.env.PATH, BALANCER_LISTEN: `127.0.0.1:${port}` };
  for (const [index, target] of ports.entries()) environment[`BALANCER_NODE_${index + 1}`] = `127.0.0.1:${target}`;
  const haproxy = new ServerProcess(program("haproxy", "CARILLON_TEST_HAPROXY"), ["-db", "-f", BALANCER], environment);
  await haproxy.answers(`http://127.0.0.1:${port}/readyz`, 200);
  return { process: haproxy, port };
}
