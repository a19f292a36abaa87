// Whoever reaches the Redis can publish anything on any channel: a node that reads it goes on as if it had not come.

import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import notepack from "notepack.io";
import { createClient } from "redis";
import { assertConsecutive } from "../assertions.js";
import { chatOf, someone } from "../carillon.js";
import { startCluster } from "../cluster.js";
import { eventually } from "../process.js";
import { random } from "../random.js";

const { encode: pack } = notepack;

let cluster;
let users;
let chatboxId;
let alice;
let bob;
let sent = 0;

before(async () => {
  cluster = await startCluster({ env: { CARILLON_LIMITS: "off" } });
  users = [someone("alice"), someone("bob")];
  chatboxId = chatOf(...users);
  [alice, bob] = await cluster.connectTo([0, users[0]], [1, users[1]]);
  await Promise.all([alice.join(chatboxId), bob.join(chatboxId)]);
});
after(() => cluster?.stop());

const publish = (channel, message) => cluster.commands.publish(channel, message);

/** Nobody was disconnected, and a message still goes from node to node. */
async function assertUnharmed() {
  sent += 1;
  const { seq } = await alice.send(users[1], `message ${sent}`);
  assert.equal(seq, sent);
  await eventually(() => bob.all("receiveMessage").length === sent, { what: `message ${sent}` });
  assertConsecutive(bob.all("receiveMessage").map((message) => message.seq));
  for (const [index, client] of [alice, bob].entries()) {
    assert.ok(client.socket.connected, `${users[index]} is connected`);
    assert.deepEqual([...client.all("disconnect"), ...client.all("disconnecting")], []);
  }
  for (const node of cluster.nodes) {
    assert.equal(node.process.end, undefined, node.process.output.slice(-2_000));
    assert.equal((await node.get("/readyz")).status, 200);
  }
}

const packet = (...data) => ({ type: 2, data, nsp: "/" });
const opts = (more = {}) => ({ rooms: [], except: [], flags: {}, ...more });

describe("on the channels of broadcasts", () => {
  const rows = {
    nothing: Buffer.alloc(0),
    text: Buffer.from("hello"),
    "bytes that are no msgpack": Buffer.from("c1c1c1", "hex"),
    "a length beyond the end": Buffer.from("dfffffffff", "hex"),
    "a list of four thousand million": Buffer.from("ddffffffff", "hex"),
    "deep nesting": Buffer.alloc(100_000, 0x91),
    nil: pack(null),
    "a number": pack(5),
    "an empty list": pack([]),
    "a map": pack({ type: 3, data: {} }),
    "a list of three numbers": pack([1, 2, 3]),
    "no options": pack(["emitter", packet("x")]),
    "options that are nil": pack(["emitter", packet("x"), null]),
    "rooms that are no list": pack(["emitter", packet("x"), opts({ rooms: "all" })]),
    "rooms of everything": pack(["emitter", packet("x"), opts({ rooms: [1, null, {}, [], true, "é"] })]),
    "except that is a number": pack(["emitter", packet("x"), opts({ except: 5 })]),
    "flags that are a list": pack(["emitter", packet("x"), opts({ flags: [1] })]),
    "an offset that nobody gave": pack(["emitter", packet("x", 1), opts({ flags: { offset: "made.up" } })]),
    "an offset that is a number": pack(["emitter", packet("x", 1), opts({ flags: { offset: 5, id: {} } })]),
    "no packet": pack(["emitter", null, opts()]),
    "another type": pack(["emitter", { type: 1, nsp: "/" }, opts()]),
    "no data": pack(["emitter", { type: 2, nsp: "/" }, opts()]),
    "data without a name": pack(["emitter", packet(), opts()]),
    "a name that is a map": pack(["emitter", packet({}, 1), opts()]),
    "another namespace": pack(["emitter", { ...packet("x"), nsp: "/other" }, opts()]),
    "a namespace that is a number": pack(["emitter", { ...packet("x"), nsp: 5 }, opts()]),
    "eleven attachments": pack(["emitter", packet("x", ...Array(11).fill(Buffer.from([1]))), opts()]),
    "trailing bytes": Buffer.concat([pack(["emitter", packet("x"), opts()]), Buffer.from([1])]),
    "a uid that is a number": pack([5, packet("x", 1), opts()]),
    "half a surrogate pair": Buffer.concat([Buffer.from([0xa3]), Buffer.from([0xed, 0xa0, 0x80])]),
    ...Object.fromEntries(
      ["connect", "connect_error", "disconnect", "disconnecting", "newListener", "removeListener"].map((name) => [
        `the reserved name ${name}`,
        pack(["emitter", packet(name, "x"), opts()]),
      ]),
    ),
  };

  for (const [name, message] of Object.entries(rows)) {
    test(name, async () => {
      for (const room of ["", `user_${users[1]}#`, `chat_${chatboxId}#`, `${bob.id}#`]) await publish(`socket.io#/#${room}`, message);
      await assertUnharmed();
    });
  }
});

describe("on the channels of requests and responses", () => {
  const request = (more) => ({ uid: "abcdef", requestId: "x", ...more });
  const texts = [
    "",
    "{",
    "null",
    "[]",
    "{}",
    '{"type":null}',
    '{"type":"5"}',
    '{"type":99}',
    '{"type":-1}',
    '{"type":1e300}',
    `{"type":5,"opts":${'{"a":'.repeat(10_000)}`,
    "\u0000\u0001",
  ];
  const values = [
    ...[0, 1, 2, 3, 4, 5, 6, 7, 8, 9].flatMap((type) => [
      { type },
      request({ type }),
      request({ type, opts: null, rooms: null }),
      request({ type, opts: { rooms: {}, except: 5 }, rooms: [null, 5, {}] }),
      request({ type, opts: opts({ rooms: ["nobody"] }), packet: null, data: null }),
      request({ type, opts: opts({ rooms: ["nobody"] }), packet: packet("disconnecting"), data: {} }),
      request({ type, opts: opts({ rooms: ["nobody"], flags: { timeout: "x" } }), packet: { type: 3, data: 5 }, data: [] }),
      request({ type, uid: 5, requestId: {}, opts: opts({ rooms: ["nobody"] }), close: "yes", packet: packet("x") }),
      request({ type, sid: "nobody", room: 5 }),
    ]),
    request({ type: 7, opts: opts({ rooms: ["nobody"], flags: { timeout: 1e18 } }), packet: packet("x") }),
    request({ type: 7, opts: opts({ rooms: ["nobody"], flags: { timeout: -5 } }), packet: packet("x") }),
  ];

  for (const channel of ["request", "response"]) {
    test(`socket.io-${channel}`, async () => {
      const uids = (await cluster.commands.pubSubChannels("socket.io-response#/#?*")).map((name) => name.slice(0, -1));
      const channels = channel === "request" ? ["socket.io-request#/#"] : ["socket.io-response#/#", ...uids.map((name) => `${name}#`)];
      for (const name of channels) {
        for (const text of texts) await publish(name, text);
        for (const value of values) {
          await publish(name, JSON.stringify(value));
          await publish(name, pack(value));
        }
        await publish(name, Buffer.alloc(100_000, 0x91));
        await publish(name, pack(null));
      }
      await assertUnharmed();
    });
  }
});

describe("on every channel that the nodes use", () => {
  test("what they really say, with bytes changed, cut or added", async () => {
    const overheard = [];
    const listener = createClient({ url: cluster.redis.url }).on("error", () => {});
    await listener.connect();
    try {
      await listener.pSubscribe("*", (message, channel) => overheard.push({ message, channel: channel.toString() }), true);
      // A bit of everything: messages, typing, polls on other nodes, an upgrade on another, a recovery, presence.
      for (let i = 0; i < 5; i += 1) await assertUnharmed();
      const guest = await cluster.connect(someone(), { transports: ["polling", "websocket"] });
      await guest.upgraded();
      const polling = await cluster.connect(someone(), { transports: ["polling"] });
      for (let i = 0; i < 5; i += 1) await polling.join(chatOf("zoe", "zoe")).catch(() => {});
      await guest.drop();
      await guest.reconnect();
      alice.emit("typing", { chatboxId, isTyping: true });
      await bob.next("userTyping");
      guest.close();
      polling.close();
      await listener.pUnsubscribe("*");
    } finally {
      listener.destroy();
    }
    const channels = new Set(overheard.map(({ channel }) => channel));
    assert.ok(channels.size >= 4, [...channels].join());

    const next = random(4);
    const below = (end) => Math.floor(next() * end);
    for (let i = 0; i < 3_000; i += 1) {
      const { message, channel } = overheard[below(overheard.length)];
      const changed = Buffer.from(message);
      const kind = below(4);
      if (kind === 0) await publish(channel, changed.subarray(0, below(changed.length)));
      else if (kind === 1) await publish(channel, Buffer.concat([changed, Buffer.from([below(256)])]));
      else {
        for (let j = 0; j <= kind; j += 1) changed[below(changed.length)] ^= 1 + below(255);
        // A changed byte in a text is a message like another: its event may well reach a client, so not to these two.
        if (!/user_|chat_/.test(channel)) await publish(channel, changed);
      }
    }
    for (const channel of channels) for (const bytes of ["", "\u0000", "null", "{}"]) await publish(channel, bytes);
    for (const client of [alice, bob]) assert.ok(client.socket.connected);
    for (const node of cluster.nodes) assert.equal(node.process.end, undefined, node.process.output.slice(-2_000));
    const writer = await cluster.nodes[2].connect(someone());
    const [reader] = await cluster.connectTo([1, "reader"]);
    const answers = await Promise.all(Array.from({ length: 20 }, (_, i) => writer.send("reader", `${i}`)));
    assertConsecutive(answers.map(({ seq }) => seq));
    await eventually(() => reader.all("notification").length === 20, { what: "twenty notifications" });
    assertConsecutive(reader.all("notification").map(({ seq }) => seq));
  });
});
