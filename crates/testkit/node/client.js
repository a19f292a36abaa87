// The official client, with everything it receives kept in order, so that a test can await it or prove it absent.

import { io } from "socket.io-client";
import msgpack from "socket.io-msgpack-parser";
import { PATIENCE } from "./process.js";
import { within } from "./wire.js";

/** Every way in which the official client can be connected. */
export const COMBINATIONS = [["polling"], ["websocket"], ["polling", "websocket"]].flatMap((transports) =>
  ["default", "msgpack"].map((parser) => ({ name: `${transports.join(" then ")}, ${parser} parser`, transports, parser })),
);

/**
 * A client of `url` that waits for `connect()`; it neither shares a connection nor comes back unless told to. `settled`
 * resolves once what other nodes had for a client has come to its own node.
 */
export function clientOf(url, { parser = "default", settled, ...options } = {}) {
  const socket = io(url, {
    autoConnect: false,
    forceNew: true,
    reconnection: false,
    transports: ["websocket"],
    ...(parser === "msgpack" && { parser: msgpack }),
    ...options,
  });
  return new Client(socket, settled);
}

/** The event that a cluster sends through all that lies between its nodes and one client. */
export const FENCE = "fence of the tests";

export class Client {
  #unread = [];
  #waiting = new Set();
  #settled;

  constructor(socket, settled = async () => {}) {
    this.socket = socket;
    this.#settled = settled;
    this.isClosed = false;
    /** Every event so far: `{ event, payload, args }`. */
    this.received = [];
    socket.onAny((event, ...args) => {
      if (event !== FENCE) this.#push({ event, payload: args[0], args });
    });
    for (const event of ["connect", "disconnect", "connect_error"]) {
      socket.on(event, (...args) => this.#push({ event, payload: args[0], args }));
    }
  }

  #push(entry) {
    this.received.push(entry);
    this.#unread.push(entry);
    for (const wake of this.#waiting) wake();
  }

  /** The payload of the next event of this name (and match) that was not read yet. */
  async next(event, { match = () => true, ms = PATIENCE } = {}) {
    const found = await this.#take(`the event ${event}`, ms, (entry) => entry.event === event && match(entry.payload));
    return found.payload;
  }

  async #take(what, ms, match) {
    const deadline = performance.now() + ms;
    for (;;) {
      const index = this.#unread.findIndex(match);
      if (index >= 0) return this.#unread.splice(index, 1)[0];
      let wake;
      const pushed = new Promise((resolve) => this.#waiting.add((wake = resolve)));
      await within(pushed, what, deadline - performance.now()).finally(() => this.#waiting.delete(wake));
    }
  }

  /** The payloads of all events of this name so far, read or not. */
  all(event) {
    return this.received.filter((entry) => entry.event === event).map((entry) => entry.payload);
  }

  /** The names of all events so far, in order. */
  get order() {
    return this.received.map((entry) => entry.event);
  }

  /** Forgets what came so far. */
  forget() {
    this.received.length = 0;
    this.#unread.length = 0;
  }

  get id() {
    return this.socket.id;
  }

  get engine() {
    return this.socket.io.engine;
  }

  /** What the node makes of the handshake: the entry of `connect` or of `connect_error`. */
  #answer() {
    this.socket.connect();
    return this.#take("an answer to the handshake", PATIENCE, ({ event }) => event === "connect" || event === "connect_error");
  }

  async connect() {
    const { event, payload } = await this.#answer();
    if (event !== "connect") throw new Error(`refused: ${payload.message}`, { cause: payload });
    return this;
  }

  /** The `connect_error` of a connection that must be refused. */
  async refusal() {
    const { event, payload } = await this.#answer();
    if (event !== "connect_error") throw new Error("accepted, where a refusal was expected");
    return payload;
  }

  /** Resolves once a client that opened by polling has gone over to WebSocket. */
  async upgraded() {
    if (this.engine.transport.name === "websocket") return;
    await within(new Promise((resolve) => this.engine.once("upgrade", resolve)), "the upgrade");
  }

  emit(event, ...args) {
    this.socket.emit(event, ...args);
  }

  /** Emits with an acknowledgement and returns it. */
  ask(event, ...args) {
    return this.socket.timeout(PATIENCE).emitWithAck(event, ...args);
  }

  /** All that the nodes had for this client before now has arrived afterwards: what one node sends comes in order. */
  async fence() {
    await this.#settled(this);
    await this.ask("getOnlineUsers");
  }

  join(chatboxId) {
    return this.ask("joinChat", { chatboxId });
  }

  /** Sends a message under plain names. */
  send(receiverId, message, more = {}) {
    return this.ask("sendMessage", { receiverId, message, senderName: "Sender", receiverName: "Receiver", ...more });
  }

  /** Every further connection goes to `node`. */
  moveTo(node) {
    this.socket.io.uri = node.url;
  }

  /** Connects again and tells whether the session was recovered. */
  async reconnect() {
    await this.connect();
    return this.socket.recovered;
  }

  /** Loses the connection in the way of a network fault: the transport closes, the socket was not disconnected. */
  async drop() {
    this.engine.close();
    await this.next("disconnect");
  }

  /** For good. */
  close() {
    this.isClosed = true;
    this.socket.io.reconnection(false);
    this.socket.disconnect();
    this.engine?.close();
  }
}
