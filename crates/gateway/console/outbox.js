// What was written and is not confirmed yet. It outlives a reload of the tab, goes out in order, and, since every attempt
// carries the same `clientMessageId`, arrives once.

import { Observable } from "./observable.js";

const KEY = "carillon.outbox";
const MOST_ENTRIES = 500;
const RETRY_MS = 1_000;
/** What will pass: these are tried again by themselves. */
const PASSING = new Set(["rate_limited", "unavailable", "timeout"]);

export class Outbox extends Observable {
  #user;
  #send;
  #onSent;
  #storage;
  #flushing;
  #later;

  /** `send(entry)` resolves with the node's confirmation; `onSent(entry, confirmation)` is told. */
  constructor({ user, send, onSent, storage }) {
    super();
    this.#user = user;
    this.#send = send;
    this.#onSent = onSent;
    this.#storage = storage;
    /** In the order of writing; `error` says why an entry waits for its writer. */
    this.entries = this.#stored().filter(({ senderId }) => senderId === user);
  }

  get isFull() {
    return this.entries.length >= MOST_ENTRIES;
  }

  /** What is on the way to somebody. */
  to(receiverId) {
    return this.entries.filter((entry) => entry.receiverId === receiverId);
  }

  add({ receiverId, message, senderName, receiverName, after }) {
    this.entries.push({
      clientMessageId: randomId(),
      senderId: this.#user,
      receiverId,
      message,
      senderName,
      receiverName,
      after,
      at: new Date().toISOString(),
    });
    this.#save();
    this.flush();
  }

  /** Sends what waits; resolves once nothing does, or nothing more can be sent for now. */
  flush() {
    clearTimeout(this.#later);
    this.#flushing ??= this.#run().finally(() => (this.#flushing = undefined));
    return this.#flushing;
  }

  /** Tries an entry again that was refused. */
  retry(clientMessageId) {
    const entry = this.entries.find((entry) => entry.clientMessageId === clientMessageId);
    if (!entry) return;
    delete entry.error;
    this.#save();
    this.flush();
  }

  discard(clientMessageId) {
    this.#remove(clientMessageId);
  }

  /** Gives up what was not sent. */
  clear() {
    this.entries = [];
    this.#save();
  }

  /** Stops for good; the entries stay where they are stored. */
  close() {
    clearTimeout(this.#later);
    this.#send = () => Promise.reject(Object.assign(new Error("Signed out"), { code: "offline" }));
  }

  async #run() {
    for (;;) {
      const entry = this.entries.find(({ error }) => error === undefined);
      if (!entry) return;
      try {
        const confirmation = await this.#send(entry);
        this.#onSent(entry, confirmation);
        this.#remove(entry.clientMessageId);
      } catch (error) {
        if (error.code === "offline") return;
        if (PASSING.has(error.code)) {
          this.#later = setTimeout(() => this.flush(), error.retryAfterMs ?? RETRY_MS);
          return;
        }
        entry.error = error.message;
        this.#save();
      }
    }
  }

  #remove(clientMessageId) {
    this.entries = this.entries.filter((entry) => entry.clientMessageId !== clientMessageId);
    this.#save();
  }

  #stored() {
    try {
      const entries = JSON.parse(this.#storage.getItem(KEY));
      return Array.isArray(entries) ? entries : [];
    } catch {
      return [];
    }
  }

  /** Where the tab's storage is full the entries are kept for as long as the tab is. */
  #save() {
    try {
      const others = this.#stored().filter(({ senderId }) => senderId !== this.#user);
      this.#storage.setItem(KEY, JSON.stringify([...others, ...this.entries]));
    } catch (error) {
      console.warn("unsent messages are not stored", error);
    }
    this.changed();
  }
}

/** 128 random bits; `crypto.randomUUID` is not there on a plain HTTP address. */
function randomId() {
  return Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, "0")).join("");
}
