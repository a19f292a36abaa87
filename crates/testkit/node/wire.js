// Engine.IO spoken by hand: long-polling over fetch, WebSocket over ws. No retry, no parser: tests see the bytes.

import { once } from "node:events";
import { WebSocket } from "ws";
import { PATIENCE } from "./process.js";

/** Joins the packets of a polling payload. */
export const SEPARATOR = "\x1e";

/** Fails instead of waiting for ever. */
export function within(promise, what, ms = PATIENCE) {
  let timer;
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error(`${what} did not come within ${Math.round(ms)} ms`)), ms);
  });
  return Promise.race([promise, late]).finally(() => clearTimeout(timer));
}

/** A long-polling session. `endpoint` is the URL of the Engine.IO path, with its slash. */
export class Polling {
  constructor(endpoint, query = {}) {
    this.endpoint = endpoint;
    this.query = { EIO: "4", transport: "polling", ...query };
  }

  static async open(endpoint, { query = {}, headers = {} } = {}) {
    const session = new Polling(endpoint, query);
    const response = await session.request("GET", { headers });
    session.handshake = JSON.parse((await response.text()).slice(1));
    session.query.sid = session.handshake.sid;
    return session;
  }

  get sid() {
    return this.query.sid;
  }

  /** The next requests go to `node`. */
  at({ endpoint }) {
    this.endpoint = endpoint;
    return this;
  }

  url(query = {}) {
    return `${this.endpoint}?${new URLSearchParams({ ...this.query, ...query })}`;
  }

  request(method, { body, headers, signal } = {}) {
    return within(fetch(this.url(), { method, body, headers, signal }), `${method} ${this.endpoint}`);
  }

  /** One poll: `{ status, text }`. */
  async poll() {
    const response = await this.request("GET");
    return { status: response.status, text: await response.text() };
  }

  /** The packets of the next poll that is not empty; a ping is answered and left out. */
  async packets() {
    for (;;) {
      const { status, text } = await this.poll();
      if (status !== 200) throw new Error(`poll answered ${status}: ${text}`);
      const packets = text.split(SEPARATOR);
      if (packets.includes("2")) await this.post("3");
      const rest = packets.filter((packet) => packet !== "2" && packet !== "6");
      if (rest.length > 0) return rest;
    }
  }

  async post(body, headers = { "content-type": "text/plain;charset=UTF-8" }) {
    const response = await this.request("POST", { body, headers });
    return { status: response.status, text: await response.text() };
  }
}

/** A WebSocket whose frames are read one after another. */
export class Frames {
  #waiting = [];
  #frames = [];

  constructor(url, options = {}) {
    this.socket = new WebSocket(url.replace(/^http/, "ws"), { perMessageDeflate: false, ...options });
    this.socket.on("message", (data, isBinary) => this.#push(isBinary ? data : data.toString()));
    this.socket.on("error", (error) => (this.error = error));
    this.socket.on("unexpected-response", (_, response) => (this.refusal = response));
    /** The close code; 1005 is a close frame without one, 1006 no close frame at all. */
    this.closed = new Promise((resolve) => {
      this.socket.on("close", (code) => {
        this.#push(undefined);
        resolve(code);
      });
    });
  }

  /** Connected, before any frame was read. */
  static async connect(url, options) {
    const frames = new Frames(url, options);
    await within(once(frames.socket, "open"), `WebSocket ${url}`);
    return frames;
  }

  /** A session of its own; its open packet is in `handshake`. */
  static async open(endpoint, { query = {}, ...options } = {}) {
    const parameters = new URLSearchParams({ EIO: "4", transport: "websocket", ...query });
    const frames = await Frames.connect(`${endpoint}?${parameters}`, options);
    frames.handshake = JSON.parse((await frames.next()).slice(1));
    return frames;
  }

  #push(frame) {
    this.#frames.push(frame);
    this.#waiting.shift()?.();
  }

  /** The next frame: text, a Buffer, or `undefined` once closed. */
  async next() {
    while (this.#frames.length === 0) {
      await within(new Promise((resolve) => this.#waiting.push(resolve)), "a frame");
    }
    if (this.#frames[0] === undefined) return undefined;
    return this.#frames.shift();
  }

  /** The next frame that is no ping; pings are answered. */
  async nextMessage() {
    for (;;) {
      const frame = await this.next();
      if (frame !== "2") return frame;
      this.send("3");
    }
  }

  /** Reads on until a frame satisfies `match`; those before it are returned with it. */
  async until(match) {
    const frames = [];
    for (;;) {
      const frame = await this.nextMessage();
      frames.push(frame);
      if (frame === undefined || match(frame)) return frames;
    }
  }

  send(frame) {
    this.socket.send(frame);
  }

  close() {
    this.socket.close();
    return this.closed;
  }

  terminate() {
    this.socket.terminate();
  }
}

/**
 * A WebSocket handshake that is expected to fail: its HTTP status, headers and body.
 * A server that accepts it (101) is told apart by status 101.
 */
export async function refusedUpgrade(url, headers = {}) {
  const socket = new WebSocket(url.replace(/^http/, "ws"), { headers, perMessageDeflate: false });
  socket.on("error", () => {});
  const refused = once(socket, "unexpected-response").then(async ([, response]) => {
    const chunks = [];
    for await (const chunk of response) chunks.push(chunk);
    return { status: response.statusCode, headers: response.headers, text: Buffer.concat(chunks).toString() };
  });
  const accepted = once(socket, "open").then(() => ({ status: 101 }));
  const gone = once(socket, "close").then(() => ({ status: 0 }));
  const answer = await within(Promise.race([refused, accepted, gone]), `answer to ${url}`);
  socket.terminate();
  return answer;
}
