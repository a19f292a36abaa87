// TCP by hand: requests and WebSocket frames byte by byte, also such as no HTTP client would send.

import { randomBytes } from "node:crypto";
import { once } from "node:events";
import { connect } from "node:net";
import { PATIENCE } from "./process.js";
import { within } from "./wire.js";

/** A connection that reads whatever comes. */
export class Tcp {
  /** All that has come so far. */
  received = Buffer.alloc(0);
  #changed = new Set();

  constructor(port) {
    this.socket = connect(port, "127.0.0.1");
    this.socket.setNoDelay(true);
    this.socket.on("data", (data) => {
      this.received = Buffer.concat([this.received, data]);
      this.#wake();
    });
    this.socket.on("error", () => {});
    this.isClosed = false;
    this.closed = new Promise((resolve) => this.socket.on("close", resolve)).then(() => {
      this.isClosed = true;
      this.#wake();
    });
  }

  static async open(port, data) {
    const tcp = new Tcp(port);
    await within(once(tcp.socket, "connect"), "a connection");
    if (data !== undefined) tcp.write(data);
    return tcp;
  }

  #wake() {
    for (const wake of this.#changed) wake();
  }

  get text() {
    return this.received.toString("latin1");
  }

  /** The statuses of all answers so far. */
  get statuses() {
    return [...this.text.matchAll(/^HTTP\/1\.[01] (\d{3})/gm)].map(([, status]) => Number(status));
  }

  /** Says whether the kernel took the bytes at once. */
  write(data) {
    return this.socket.write(data);
  }

  /** Waits until `match` is true of this connection. Its end before that is an error. */
  async until(match, what = "an answer", ms = PATIENCE) {
    const deadline = performance.now() + ms;
    while (!match(this)) {
      if (this.isClosed) throw new Error(`closed before ${what}: ${this.text.slice(0, 300)}`);
      let wake;
      const changed = new Promise((resolve) => this.#changed.add((wake = resolve)));
      await within(changed, what, deadline - performance.now()).finally(() => this.#changed.delete(wake));
    }
    return this;
  }

  /** Waits for the end, and tells what came until then. */
  async end() {
    await within(this.closed, `the end of a connection that has got ${JSON.stringify(this.text.slice(0, 300))}`);
    return this.text;
  }

  destroy() {
    this.socket.destroy();
  }
}

/** A request, head and body, as text. */
export function request(method, target, headers = {}, body = "") {
  const lines = Object.entries(headers).flatMap(([name, values]) => [values].flat().map((value) => `${name}: ${value}\r\n`));
  return `${method} ${target} HTTP/1.1\r\n${lines.join("")}\r\n${body}`;
}

/** The connection of a poll that has arrived: it is in the same bytes as a POST that is answered before it. */
export async function heldPoll(session) {
  const { pathname, search, host, port } = new URL(session.url());
  const head = { host, "content-type": "text/plain;charset=UTF-8" };
  const target = `${pathname}${search}`;
  const tcp = await Tcp.open(Number(port), request("POST", target, { ...head, "content-length": 1 }, "6") + request("GET", target, { host }));
  await tcp.until(({ statuses }) => statuses.length > 0, "the answer to the POST");
  if (tcp.statuses[0] !== 200) throw new Error(`a POST was answered ${tcp.text}`);
  return tcp;
}

/** The head of a WebSocket handshake. */
export function upgradeRequest(port, target = "/socket.io/?EIO=4&transport=websocket", headers = {}) {
  return request("GET", target, {
    host: `127.0.0.1:${port}`,
    connection: "Upgrade",
    upgrade: "websocket",
    "sec-websocket-version": "13",
    "sec-websocket-key": randomBytes(16).toString("base64"),
    ...headers,
  });
}

/** A WebSocket frame. `length` is what it announces; its payload may be shorter. */
export function frame(payload, { opcode = 1, fin = true, rsv = 0, mask = true, length } = {}) {
  const data = Buffer.from(payload);
  length ??= data.length;
  const head = [(fin ? 0x80 : 0) | (rsv << 4) | opcode];
  const bit = mask ? 0x80 : 0;
  if (length < 126) head.push(bit | length);
  else if (length < 65_536) head.push(bit | 126, length >> 8, length & 255);
  else {
    const wide = Buffer.alloc(8);
    wide.writeBigUInt64BE(BigInt(length));
    head.push(bit | 127, ...wide);
  }
  // A mask of zeros leaves the payload as it is.
  return Buffer.concat([Buffer.from(head), Buffer.alloc(mask ? 4 : 0), data]);
}

/** A WebSocket by hand: opened, its handshake done, its session's open packet read. */
export async function openWebSocket(port, options = {}) {
  const tcp = await Tcp.open(port, upgradeRequest(port, options.target, options.headers));
  await tcp.until(({ received }) => received.includes('"maxPayload"'), "the open packet");
  return tcp;
}

/** Whether what came over a WebSocket ends with a close frame, which has a code or is empty. */
export function hasCloseFrame(received) {
  return received.subarray(-2).equals(Buffer.from([0x88, 0])) || closeCode({ received }) !== undefined;
}

/** The code of the close frame that ends what came over a WebSocket; `undefined` without one. */
export function closeCode({ received }) {
  const [first, length] = received.subarray(-4);
  return received.length >= 4 && first === 0x88 && length === 2 ? received.readUInt16BE(received.length - 2) : undefined;
}
