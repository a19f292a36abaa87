// Three nodes behind a balancer in plain round robin, with a Redis and a database of their own.

import { Emitter } from "@socket.io/redis-emitter";
import { createClient } from "redis";
import { Gateway, startNode } from "./carillon.js";
import { FENCE } from "./client.js";
import { eventually } from "./process.js";
import { CuttableWay, Database, RedisServer, startBalancer } from "./servers.js";
import { within } from "./wire.js";

const NODES = 3;

/**
 * Starts all of it and waits until it is ready. `env` adds to the environment of each node. With `ways` each node reaches
 * Redis by a way of its own: `cluster.waysToRedis[i]`.
 */
export async function startCluster({ env = {}, ways = false } = {}) {
  const parts = [];
  try {
    const redis = await RedisServer.start();
    parts.push(() => redis.kill());
    const commands = createClient({ url: redis.url, disableOfflineQueue: true }).on("error", () => {});
    await commands.connect();
    parts.push(() => commands.destroy());
    const database = new Database();
    parts.push(() => database.drop());
    const way = await CuttableWay.to(database.address);
    parts.push(() => way.cut());

    const environment = { REDIS_URL: redis.url, MONGODB_URI: database.through(way), ...env };
    const settled = settledBy(commands);
    const waysToRedis = [];
    for (let i = 0; ways && i < NODES; i += 1) {
      waysToRedis.push(await CuttableWay.to({ host: "127.0.0.1", port: redis.port }));
      parts.push(() => waysToRedis[i].cut());
    }
    const start = (index, { env: more, ...options } = {}) => {
      const way = waysToRedis[index];
      const own = way && { REDIS_URL: `redis://127.0.0.1:${way.port}` };
      return startNode({ env: { ...environment, ...own, ...more }, settled, ...options });
    };
    const started = await Promise.allSettled(Array.from({ length: NODES }, (_, index) => start(index)));
    const nodes = started.flatMap(({ value }) => value ?? []);
    parts.push(() => Promise.all(nodes.map((node) => node.stop("SIGKILL"))));
    for (const { reason } of started) if (reason) throw reason;

    const balancer = await startBalancer(nodes.map(({ port }) => port));
    parts.push(() => balancer.process.stop("SIGKILL"));
    return new Cluster({ balancer, settled, nodes, start, redis, waysToRedis, commands, database, way, parts });
  } catch (error) {
    await endAll(parts);
    throw error;
  }
}

/** In the reverse order of their starts. */
async function endAll(parts) {
  while (parts.length > 0) await parts.pop()();
}

/** Sends a marker to a client by Redis and waits for it: what Redis had for the client's node came before. */
function settledBy(commands) {
  const emitter = new Emitter(commands);
  let markers = 0;
  return async ({ socket }) => {
    await eventually(() => commands.isReady, { what: "Redis" });
    const marker = (markers += 1);
    let listener;
    const heard = new Promise((resolve) => socket.on(FENCE, (listener = (value) => value === marker && resolve())));
    emitter.to(socket.id).emit(FENCE, marker);
    await within(heard, "what Redis has for a client").finally(() => socket.off(FENCE, listener));
  };
}

/** Its own methods go to the balancer; those of `nodes[i]` to that node alone. */
class Cluster extends Gateway {
  #start;
  #parts;

  constructor({ balancer, settled, nodes, start, redis, waysToRedis, commands, database, way, parts }) {
    super(balancer.port, settled);
    this.nodes = nodes;
    this.redis = redis;
    this.waysToRedis = waysToRedis;
    /** A client of that Redis. */
    this.commands = commands;
    this.database = database;
    /** The way of all nodes to their database. */
    this.wayToDatabase = way;
    this.#start = start;
    this.#parts = parts;
  }

  /** Connects a user to each of these nodes: `await cluster.connectTo([0, "alice"], [1, "bob"])`. */
  connectTo(...places) {
    return Promise.all(places.map(([index, user, options]) => this.nodes[index].connect(user, options)));
  }

  /** Puts a new process in the place of one that has ended. */
  async restart(index) {
    const { port } = this.nodes[index];
    await this.nodes[index].stop();
    this.nodes[index] = await this.#start(index, { port });
  }

  /** One more node, which the balancer does not know; `env` adds to its environment. Whoever asks for it stops it. */
  join(env) {
    return this.#start(undefined, { env });
  }

  async stop() {
    this.closeClients();
    for (const node of this.nodes) node.closeClients();
    await endAll(this.#parts);
  }
}
