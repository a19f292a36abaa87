// Socket.IO v5 on the namespace `/`: events, acknowledgements, coming back, and recovery of what was missed.

import { Engine } from "./engine.js";

const CONNECT_TIMEOUT_MS = 20_000;
const ACK_TIMEOUT_MS = 20_000;
const FIRST_DELAY_MS = 1_000;
const LONGEST_DELAY_MS = 5_000;

const TYPE = { connect: "0", disconnect: "1", event: "2", ack: "3", connectError: "4", binaryEvent: "5" };
const PACKET = /^(\d)(?:(\d+)-)?(?:\/[^,]*,)?(\d+)?([^]*)$/;

/** Why an event has no good answer. `code` is the node's, `offline` or `timeout`; the latter two are worth a resend. */
export class Refusal extends Error {
  constructor(code, message, retryAfterMs) {
    super(message);
    this.code = code;
    this.retryAfterMs = retryAfterMs;
  }
}

/**
 * A connection that comes back by itself. `auth()` gives what the handshake carries; `probe()` an event and its payload
 * that measure the way there and back; `onEvent(name, payload)` is called for each event, `onStatus(status)` for each
 * change of `status`:
 *
 * - `phase`: `idle`, `connecting`, `connected`, `waiting` (for the next try), `refused` (by the handshake's answer) or
 *   `ended` (by the node)
 * - `transport`, `sid`, `recovered` and `latencyMs` where connected; `reason` where it is not
 * - `session`: counts connections, so that a new one is told from a change of the same
 */
export class Wire {
  #options;
  #engine;
  #acks = new Map();
  #nextAck = 0;
  #pid;
  #offset;
  /** What comes before the answer to CONNECT: it counts only if that follows. */
  #early = [];
  #failures = 0;
  #retry;
  #connectTimer;

  status = { phase: "idle", session: 0 };

  constructor({ url, auth, probe, onEvent, onStatus, fetch, WebSocket, random = Math.random }) {
    this.#options = { url, auth, probe, onEvent, onStatus, fetch, WebSocket, random };
  }

  get isConnected() {
    return this.status.phase === "connected";
  }

  /** Connects now, also where the next try is some time away. */
  connect() {
    if (this.#engine) return;
    clearTimeout(this.#retry);
    this.#early = [];
    this.#become({ phase: "connecting" });
    const { url, fetch, WebSocket } = this.#options;
    this.#engine = new Engine({
      url,
      fetch,
      WebSocket,
      on: {
        open: () => this.#handshake(),
        message: (text) => this.#receive(text),
        ping: () => this.#measure(),
        upgrade: () => {
          this.#become({ transport: "websocket" });
          // The first answer has the rest of the change of transports in its time.
          this.#measure().then(() => this.#measure());
        },
        close: (reason) => this.#lost(reason),
      },
    });
    this.#connectTimer = setTimeout(() => this.#abandon("The node did not answer in time"), CONNECT_TIMEOUT_MS);
  }

  /** Leaves for good: the node keeps nothing to recover. */
  disconnect() {
    clearTimeout(this.#retry);
    if (this.isConnected) this.#engine.send(TYPE.disconnect);
    this.#drop(new Refusal("offline", "Disconnected"));
    this.#pid = this.#offset = undefined;
    this.#become({ phase: "idle", reason: undefined });
  }

  /** Sends an event; resolves with its acknowledgement, rejects with a {@link Refusal}. */
  emit(event, payload) {
    if (!this.isConnected) return Promise.reject(new Refusal("offline", "Not connected"));
    const id = (this.#nextAck += 1);
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => {
        this.#acks.delete(id);
        reject(new Refusal("timeout", "No answer"));
      }, ACK_TIMEOUT_MS);
      this.#acks.set(id, { resolve, reject, timer });
      this.#engine.send(`${TYPE.event}${id}${JSON.stringify(payload === undefined ? [event] : [event, payload])}`);
    });
  }

  #handshake() {
    const recovery = this.#pid === undefined || this.#offset === undefined ? {} : { pid: this.#pid, offset: this.#offset };
    this.#engine.send(TYPE.connect + JSON.stringify({ ...this.#options.auth(), ...recovery }));
  }

  #receive(text) {
    let type, id, data;
    try {
      const [, digit, , ack, json] = PACKET.exec(text);
      [type, id, data] = [digit, ack, json === "" ? undefined : JSON.parse(json)];
    } catch {
      return this.#abandon("Not understood");
    }
    switch (type) {
      case TYPE.connect:
        return this.#accepted(data);
      case TYPE.connectError:
        return this.#rejected(data);
      case TYPE.disconnect:
        return this.#dismissed();
      case TYPE.event:
        return this.isConnected ? this.#deliver(data) : this.#early.push(data);
      case TYPE.binaryEvent:
        // Its place counts, its content is nothing for people.
        return this.#follow(data);
      case TYPE.ack:
        return this.#answered(Number(id), data?.[0]);
    }
  }

  #accepted({ sid, pid }) {
    clearTimeout(this.#connectTimer);
    const recovered = pid !== undefined && pid === this.#pid;
    if (!recovered) this.#offset = undefined;
    this.#pid = pid;
    this.#failures = 0;
    const { transport } = this.#engine;
    const session = this.status.session + 1;
    this.status = { ...this.status, phase: "connected", transport, sid, recovered, session, reason: undefined };
    for (const event of this.#early.splice(0)) this.#deliver(event);
    this.#options.onStatus(this.status);
    this.#measure();
  }

  #deliver(data) {
    if (!Array.isArray(data)) return;
    this.#follow(data);
    this.#options.onEvent(data[0], data[1]);
  }

  /** An event's last argument, where it is text, is the place to recover from. */
  #follow(data) {
    const last = Array.isArray(data) ? data.at(-1) : undefined;
    if (this.#pid !== undefined && data.length > 1 && typeof last === "string") this.#offset = last;
  }

  #answered(id, answer) {
    const waiting = this.#acks.get(id);
    if (!waiting) return;
    this.#acks.delete(id);
    clearTimeout(waiting.timer);
    const error = answer?.error;
    if (error) waiting.reject(new Refusal(error.code, error.message, error.retryAfterMs));
    else waiting.resolve(answer);
  }

  async #measure() {
    if (!this.isConnected) return;
    const from = performance.now();
    const { session } = this.status;
    try {
      await this.emit(...this.#options.probe());
    } catch {
      return;
    }
    if (session === this.status.session) this.#become({ latencyMs: Math.round(performance.now() - from) });
  }

  /** The answer to the handshake is no: only a limit is worth another try. */
  #rejected({ message, data } = {}) {
    if (data?.code === "rate_limited") return this.#abandon(message, data.retryAfterMs);
    this.#drop(new Refusal("offline", message));
    this.#pid = this.#offset = undefined;
    this.#become({ phase: "refused", reason: message });
  }

  #dismissed() {
    this.#drop(new Refusal("offline", "The node ended the session"));
    this.#pid = this.#offset = undefined;
    this.#become({ phase: "ended", reason: "The node ended the session" });
  }

  #abandon(reason, retryAfterMs) {
    this.#engine?.close();
    this.#lost(reason, retryAfterMs);
  }

  #lost(reason, retryAfterMs) {
    this.#drop(new Refusal("offline", reason));
    const delay = Math.min(FIRST_DELAY_MS * 2 ** this.#failures, LONGEST_DELAY_MS) * (0.5 + this.#options.random());
    this.#failures += 1;
    this.#retry = setTimeout(() => this.connect(), Math.max(delay, retryAfterMs ?? 0));
    this.#become({ phase: "waiting", reason });
  }

  #drop(refusal) {
    clearTimeout(this.#connectTimer);
    const engine = this.#engine;
    this.#engine = undefined;
    engine?.close();
    for (const { reject, timer } of this.#acks.values()) {
      clearTimeout(timer);
      reject(refusal);
    }
    this.#acks.clear();
  }

  #become(change) {
    this.status = { ...this.status, ...change };
    if (!this.isConnected) this.status = { ...this.status, transport: undefined, sid: undefined, latencyMs: undefined };
    this.#options.onStatus(this.status);
  }
}
