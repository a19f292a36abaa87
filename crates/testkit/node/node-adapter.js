// The official Redis adapters without a Redis: what they publish is collected, what others publish is handed to them.
import { EventEmitter } from "node:events";
import { createAdapter, createShardedAdapter } from "@socket.io/redis-adapter";
import { Server } from "socket.io";

/** Both sides of a node-redis client, as far as the adapters and the emitter use them. */
class RedisStub extends EventEmitter {
  published = [];
  #listeners = [];
  /** How many servers the adapters believe there are. */
  servers = 2;

  #listen(matches, listener) {
    this.#listeners.push({ matches, listener });
  }

  pSubscribe(pattern, listener) {
    const start = pattern.slice(0, -1);
    this.#listen((channel) => channel.startsWith(start), listener);
  }

  subscribe(channels, listener) {
    this.#listen((channel) => channels.includes(channel), listener);
  }

  sSubscribe(name, listener) {
    this.#listen((channel) => channel === name, listener);
  }

  publish(channel, message) {
    this.published.push({ channel, payload: Buffer.from(message) });
  }

  async sPublish(channel, message) {
    this.publish(channel, message);
  }

  async sendCommand() {
    return ["", this.servers];
  }

  /** Gives a message to all who listen; answers how many there are. What they throw would end their process. */
  deliver(channel, payload) {
    const listening = this.#listeners.filter(({ matches }) => matches(channel));
    for (const { listener } of listening) listener(Buffer.from(payload), Buffer.from(channel));
    return listening.length;
  }

  /** What was published since the last call. */
  take() {
    return this.published.splice(0);
  }
}

/** A socket that notes what is done to it. */
class FakeSocket {
  handshake = {
    headers: { cookie: "secret", authorization: "secret" },
    time: "Mon Sep 21 2026 14:13:20 GMT+0000 (Coordinated Universal Time)",
    address: "127.0.0.1",
    xdomain: true,
    secure: false,
    issued: 1790000000120,
    url: "/socket.io/?EIO=4&token=secret",
    query: { token: "secret" },
    auth: { token: "secret" },
  };
  data = { user: "ann", nested: [1, { a: null }] };
  acks = new Map();
  noted = [];

  constructor(id, rooms) {
    this.id = id;
    this.rooms = new Set([id, ...rooms]);
    this.client = { writeToEngine: (_, { volatile }) => (this.noted.at(-1).volatile = volatile === true) };
  }

  notifyOutgoingListeners({ data, id }) {
    this.noted.push({ data, id });
  }

  join(rooms) {
    this.noted.push({ join: rooms });
  }

  leave(room) {
    this.noted.push({ leave: room });
  }

  disconnect(close) {
    this.noted.push({ disconnect: close });
  }
}

const ADAPTERS = { classic: createAdapter, sharded: createShardedAdapter };

/** Ids have twenty characters: the sharded adapter tells them from rooms by that. */
const id = (number) => `socket ${number} of 20 chars`;

/** A room that the sharded adapter takes for a socket. */
export const LONG_ROOM = "exactly twenty chars";

/** One namespace of one Node server in a cluster, with three sockets. */
export class NodePeer {
  redis = new RedisStub();
  sockets = [new FakeSocket(id(1), ["a", "b"]), new FakeSocket(id(2), ["b", "5", LONG_ROOM]), new FakeSocket(id(3), [])];

  constructor(dialect, nsp = "/") {
    const server = new Server({ adapter: ADAPTERS[dialect](this.redis, this.redis, { requestsTimeout: 60_000 }) });
    this.nsp = server.of(nsp);
    this.adapter = this.nsp.adapter;
    for (const socket of this.sockets) {
      this.nsp.sockets.set(socket.id, socket);
      this.adapter.addAll(socket.id, socket.rooms);
    }
  }

  /** Gives a message to the adapter; answers with what each socket noted. */
  async receives({ channel, payload }) {
    this.redis.deliver(channel, payload);
    // Requests are answered by promises that wait for nothing.
    await new Promise(setImmediate);
    return Object.fromEntries(this.sockets.map((socket) => [socket.id, socket.noted.splice(0)]));
  }

  /** Whom a message to `rooms` but `except` is for. */
  idsOf({ rooms, except }) {
    const isIn = (socket, names) => names.some((name) => socket.rooms.has(name));
    return this.sockets
      .filter((socket) => (rooms.length === 0 || isIn(socket, rooms)) && !isIn(socket, except))
      .map(({ id }) => id);
  }
}
