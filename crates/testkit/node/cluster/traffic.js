// Clients as an application would write them against the contract: a sender that resends until it is confirmed, a
// reader that catches up by `seq` where its session was not recovered. What they saw is judged afterwards.

import assert from "node:assert/strict";
import { assertConsecutive } from "../assertions.js";
import { chatOf, someone } from "../carillon.js";
import { eventually, PATIENCE } from "../process.js";

const RECONNECTING = { reconnection: true, reconnectionDelay: 50, reconnectionDelayMax: 200, randomizationFactor: 0.5 };

const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

/** Sends numbered messages, one after the other, each until it is confirmed or its client is closed. */
class Sender {
  /** Every confirmation: `{ clientMessageId, messageId, seq, timestamp, chatboxId }`. */
  confirmed = [];
  constructor(client, receiver) {
    this.client = client;
    this.receiver = receiver;
  }

  async send() {
    const clientMessageId = `${this.client.user}:${this.confirmed.length}`;
    const message = { receiverId: this.receiver, message: clientMessageId, senderName: "S", receiverName: "R", clientMessageId };
    // Twice as long each time: resends are no help to a machine that is busy.
    for (let patience = 2_000; !this.client.isClosed; patience *= 2) {
      const answer = await this.client.socket.timeout(patience).emitWithAck("sendMessage", message).catch(() => undefined);
      if (answer?.messageId) {
        this.confirmed.push({ clientMessageId, ...answer });
        return;
      }
      if (answer?.error) await pause(answer.error.retryAfterMs ?? 100);
    }
  }
}

/** Reads one chat: what it was given, in order, and what broke the order. */
class Reader {
  messages = [];
  doubles = [];
  holes = [];
  #client;
  #chatboxId;
  #gateway;
  /** Messages that come while it catches up, and before. */
  #waiting = [];
  /**
   * What came live in this session. History may show a message before its live copy comes, but no copy comes twice. Of
   * each message, how it came.
   */
  #live = new Map();

  constructor(client, gateway, chatboxId) {
    this.#client = client;
    this.#gateway = gateway;
    this.#chatboxId = chatboxId;
    client.socket.on("receiveMessage", (message) => {
      if (message.chatboxId !== chatboxId) return;
      const { id, recovered } = client.socket;
      const how = { id, recovered, isCatchingUp: this.#waiting !== undefined, at: new Date().toISOString(), sent: message.timestamp };
      const before = this.#live.get(message.seq);
      if (before) this.doubles.push({ seq: message.seq, after: this.last, before, how });
      this.#live.set(message.seq, how);
      if (this.#waiting) this.#waiting.push(message);
      else this.#take(message);
    });
    // What came before a CONNECT that never did is sent again; the official client would keep it and emit it twice.
    client.socket.on("disconnect", () => (client.socket.receiveBuffer = []));
    client.socket.on("connect", () => {
      if (client.socket.recovered && !this.#waiting) return;
      if (!client.socket.recovered) this.#live.clear();
      this.#catchUp();
    });
  }

  get last() {
    return this.messages.length;
  }

  #take(message) {
    if (message.seq === this.last + 1) this.messages.push(message);
    else if (message.seq > this.last) this.holes.push({ seq: message.seq, after: this.last });
  }

  /** Joins, then reads what it has not, then takes what came meanwhile. The next connection begins it anew. */
  async #catchUp() {
    const waiting = (this.#waiting = []);
    const isCurrent = () => this.#waiting === waiting && this.#client.socket.connected;
    while (isCurrent() && !(await this.#client.join(this.#chatboxId).catch(() => undefined))?.chatboxId) await pause(100);
    while (isCurrent()) {
      const path = `/api/chat/messages/${this.#chatboxId}?limit=100&afterSeq=${this.last}`;
      const response = await this.#gateway.get(path, { as: this.#client.user }).catch(() => undefined);
      if (!isCurrent()) return;
      if (response?.status !== 200) {
        await pause(100);
        continue;
      }
      for (const message of response.body.messages) this.#take(message);
      if (response.body.hasMore) continue;
      this.#waiting = undefined;
      for (const message of waiting) this.#take(message);
    }
  }

  /** It is connected, has joined and has read what there was. */
  ready() {
    return eventually(() => this.#client.socket.connected && !this.#waiting, { what: "a reader that has caught up" });
  }
}

/** Two users who write to each other, each on one device that also reads: `{ users, chatboxId, senders, readers }`. */
async function conversation(places, options) {
  const users = [someone("alice"), someone("bob")];
  const chatboxId = chatOf(...users);
  const ends = users.map((user, index) => {
    const gateway = places[index];
    const client = gateway.client(user, { ...RECONNECTING, ...options });
    client.user = user;
    const reader = new Reader(client, gateway, chatboxId);
    return { client, reader, sender: new Sender(client, users[1 - index]) };
  });
  await Promise.all(ends.map(({ client }) => client.connect()));
  await Promise.all(ends.map(({ reader }) => reader.ready()));
  return { users, chatboxId, senders: ends.map(({ sender }) => sender), readers: ends.map(({ reader }) => reader) };
}

/** Conversations that go on until they are told to stop, or their clients are closed: those of a test that failed. */
export class Traffic {
  #running = true;
  #sending = [];

  /** `places` has a pair of gateways for each conversation, `options` go to the clients. */
  static async start(places, options) {
    const traffic = new Traffic();
    traffic.conversations = await Promise.all(places.map((pair) => conversation(pair, options)));
    for (const { senders } of traffic.conversations) {
      for (const sender of senders) traffic.#sending.push(traffic.#keepSending(sender));
    }
    return traffic;
  }

  async #keepSending(sender) {
    while (this.#running && !sender.client.isClosed) {
      await sender.send();
      await pause(20);
    }
  }

  /** Confirmations so far. */
  get confirmed() {
    return this.conversations.flatMap(({ senders }) => senders).reduce((sum, { confirmed }) => sum + confirmed.length, 0);
  }

  /** Resolves once so many more messages were confirmed. */
  more(count) {
    const goal = this.confirmed + count;
    return eventually(() => this.confirmed >= goal, { within: 3 * PATIENCE, what: `${count} more messages` });
  }

  /**
   * Ends the sending and asserts: what was confirmed is stored, once, with the same number; what is stored was given to
   * every reader, once and in order.
   */
  async assertWhole(gateway) {
    this.#running = false;
    await Promise.all(this.#sending);
    for (const { users, chatboxId, senders, readers } of this.conversations) {
      const stored = [];
      for (let more = true; more; ) {
        const path = `/api/chat/messages/${chatboxId}?limit=100&afterSeq=${stored.length}`;
        const { status, body, text } = await gateway.get(path, { as: users[0] });
        assert.equal(status, 200, text);
        stored.push(...body.messages);
        more = body.hasMore;
      }
      assertConsecutive(stored.map(({ seq }) => seq));
      for (const { confirmed } of senders) {
        assertConsecutive(confirmed.map(({ clientMessageId }) => Number(clientMessageId.split(":")[1])), 0);
        for (const { clientMessageId, messageId, seq, timestamp } of confirmed) {
          const { _id, message, timestamp: at } = stored[seq - 1] ?? {};
          assert.deepEqual([_id, message, at], [messageId, clientMessageId, timestamp], clientMessageId);
        }
        // A sender's own are stored in the order in which it sent them.
        const seqs = confirmed.map(({ seq }) => seq);
        assert.deepEqual(seqs, [...seqs].sort((one, other) => one - other));
      }
      assert.equal(stored.length, senders.reduce((sum, { confirmed }) => sum + confirmed.length, 0), "each stored once");
      for (const [index, reader] of readers.entries()) {
        await eventually(() => reader.last >= stored.length, {
          what: `${users[index]} having all ${stored.length} of ${chatboxId}, not ${reader.last}; holes ${JSON.stringify(reader.holes.slice(0, 5))}`,
        });
        assert.deepEqual(reader.messages.map(({ message }) => message), stored.map(({ message }) => message));
        assert.deepEqual({ holes: reader.holes, doubles: reader.doubles }, { holes: [], doubles: [] }, users[index]);
      }
    }
  }
}
