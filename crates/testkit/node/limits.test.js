// What one user, one address and all clients together may do on a node, and that others do not notice who goes over it.

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { assertConsecutive, assertHas, assertRefused, assertWithin } from "./assertions.js";
import { chatOf, someone, startNode } from "./carillon.js";
import { eventually, freePort } from "./process.js";
import { Tcp } from "./tcp.js";
import { Frames, Polling, refusedUpgrade, SEPARATOR, within } from "./wire.js";

const RATE_LIMITED = { code: "rate_limited", retryAfterMs: (value) => Number.isInteger(value) && value > 0 };

/** Does `work` with a node of these settings. */
async function withNode(options, work) {
  const node = await startNode(options);
  try {
    await work(node);
    assert.equal(node.process.end, undefined, `the node ended: ${node.process.output.slice(-2_000)}`);
  } finally {
    await node.stop();
  }
}

const connectPacket = (node, user) => `40${JSON.stringify({ token: node.token(user) })}`;

/** The value of one series of a metric, as it is told. */
async function series(node, name) {
  const { text } = await node.get("/metrics");
  const line = text.split("\n").find((told) => told.startsWith(`${name} `));
  return line === undefined ? undefined : Number(line.slice(name.length));
}

async function assertFull(node, options) {
  const error = await node.refusal({ token: node.token(someone()) }, options);
  assert.equal(error.message, "Too many connections");
  assertHas(error.data, RATE_LIMITED);
}

describe("connections of a node", () => {
  for (const limits of ["on", "off"]) {
    test(`one too many is told so over either transport; REST and health answer (limits ${limits})`, () =>
      withNode({ env: { CARILLON_MAX_CONNECTIONS: "3", CARILLON_LIMITS: limits } }, async (node) => {
        assert.equal(await node.metric("carillon_connections_limit"), 3);
        const [alice, bob, carol] = await Promise.all(
          [["websocket"], ["polling"], ["polling", "websocket"]].map((transports) => node.connect(someone(), { transports })),
        );
        for (const transports of [["websocket"], ["polling"], ["polling", "websocket"]]) await assertFull(node, { transports });
        // Told before anybody asks who they are.
        assert.equal((await node.refusal({ token: "no token" })).message, "Too many connections");

        assert.equal((await node.get("/readyz")).status, 200);
        assert.equal((await node.get("/api/chat/user/zoe/chats", { as: "zoe" })).status, 200);
        await Promise.all([alice, bob, carol].map((client) => client.fence()));
        assert.ok((await series(node, 'carillon_rate_limited_total{limit="node_connections",scope="node"}')) >= 4);

        bob.close();
        const dora = await eventually(() => node.connect(someone()).catch(() => false), { what: "room for one more" });
        await dora.fence();
      }));
  }

  test("who is turned away holds nothing for longer than it takes to be told", () =>
    // No heartbeat ends anybody in the time of a test.
    withNode({ env: { CARILLON_MAX_CONNECTIONS: "1", SOCKET_PING_INTERVAL: "300000" } }, async (node) => {
      const alice = await node.connect("alice");
      const since = performance.now();
      const silent = await Frames.open(node.endpoint);
      assert.equal(await within(silent.closed, "the end of who says nothing"), 1005);
      assert.ok(performance.now() - since > 4_000, "it was given time to ask");
      const frames = await Frames.open(node.endpoint);
      frames.send(connectPacket(node, "bob"));
      assert.match(await frames.nextMessage(), /^44\{"message":"Too many connections","data":\{"code":"rate_limited","retryAfterMs":\d+\}\}$/);
      assert.equal(await within(frames.closed, "the end of who was told"), 1005);
      await alice.fence();
    }));

  test("an address holds places from the opening on, also where nobody says who it is", () =>
    withNode({ env: { CARILLON_ADDRESS_CONNECTIONS: "3" } }, async (node) => {
      const silent = await Promise.all(Array.from({ length: 2 }, () => Polling.open(node.endpoint)));
      const frames = await Frames.open(node.endpoint);
      await assertFull(node);
      await frames.close();
      await silent[0].post("1");
      for (let i = 0; i < 2; i += 1) {
        const client = await eventually(() => node.connect(someone()).catch(() => false), { what: "the place of one who has left" });
        await client.fence();
      }
      await assertFull(node);
    }));
});

describe("a process with few files", () => {
  const FILES = 300;
  // Half of so few are the node's own; of the rest one in ten is kept from sessions.
  const [SOCKETS, SESSIONS] = [150, 135];
  const under = ["sh", "-c", `ulimit -n ${FILES}; exec "$0" "$@"`];

  test("takes as many connections as they allow, and works on", () =>
    withNode({ under, env: { CARILLON_USER_CONNECTIONS: "1000" } }, async (node) => {
      assert.equal(await node.metric("carillon_connections_limit"), SESSIONS);
      const clients = await Promise.all(Array.from({ length: SESSIONS }, (_, i) => node.connect(`user${i % 7}`)));
      await assertFull(node);
      assert.equal((await node.get("/readyz")).status, 200);
      const sent = await Promise.all(clients.map((client, i) => client.send("zoe", `${i}`)));
      for (const answer of sent) assertHas(answer, { messageId: /^[0-9a-f]{24}$/ });
      assert.doesNotMatch(node.process.output, /Too many open files/);
    }));

  test("is not brought down by connections that say nothing", async () => {
    const internal = await freePort();
    const env = { CARILLON_INTERNAL_PORT: String(internal), CARILLON_USER_CONNECTIONS: "1000" };
    await withNode({ under, healthPort: internal, env }, async (node) => {
      const health = `http://127.0.0.1:${internal}`;
      const openFiles = async () => {
        const text = await (await fetch(`${health}/metrics`)).text();
        return Number(/^process_open_fds (\d+)/m.exec(text)[1]);
      };
      const own = await openFiles();
      const [alice] = await Promise.all(Array.from({ length: SOCKETS / 2 }, () => node.connect("alice")));
      const flood = Array.from({ length: 1.5 * SOCKETS }, () => new Tcp(node.port));
      try {
        await eventually(async () => (await openFiles()) >= SOCKETS, { what: "a node that is full" });
        for (let i = 0; i < 20; i += 1) {
          assertHas(await alice.send("zoe", `${i}`), { seq: i + 1 });
          assert.equal((await fetch(`${health}/readyz`)).status, 200);
          // WebSockets count as well: otherwise there would be half as many more. A few files of the node's own come and go.
          const open = await openFiles();
          assert.ok(open < own + SOCKETS + 20, `${open} files, ${own} before`);
        }
        // Who says nothing is given up after ten seconds, and those who waited meanwhile are served.
        const bob = await eventually(() => node.connect("bob").catch(() => false), { every: 500, what: "the next client" });
        await bob.fence();
        await alice.fence();
        assert.doesNotMatch(node.process.output, /Too many open files|Error accepting/);
      } finally {
        for (const tcp of flood) tcp.destroy();
      }
    });
  });

  test("has as many open as it may, whatever it was started with", () =>
    withNode({ under: ["sh", "-c", `ulimit -S -n 256; ulimit -H -n 2000; exec "$0" "$@"`] }, async (node) => {
      assert.equal(await node.metric("process_max_fds"), 2_000);
      assert.equal(await node.metric("carillon_connections_limit"), 1_620);
    }));
});

describe("chats that a connection has joined", () => {
  test("one too many is refused; one that is left makes room; one that is joined is joined again", () =>
    withNode({ env: { CARILLON_JOINED_CHATS: "3", CARILLON_LIMITS: "off" } }, async (node) => {
      const [alice, other] = await node.connectAll("alice", "alice");
      const chats = ["a", "b", "c", "d"].map((name) => chatOf("alice", `x${name}`));
      for (const chatboxId of chats.slice(0, 3)) assertHas(await alice.join(chatboxId), { chatboxId });

      const refused = await alice.join(chats[3]);
      assertRefused(refused, "rate_limited");
      assertHas(refused.error, { message: "Too many chats", ...RATE_LIMITED });
      assert.deepEqual(await alice.next("error"), refused.error);
      assertHas(await alice.join(chats[0]), { chatboxId: chats[0] });
      assertHas(await other.join(chats[3]), { chatboxId: chats[3] });

      await alice.ask("leaveChat", { chatboxId: chats[1] });
      assertHas(await alice.join(chats[3]), { chatboxId: chats[3] });
      assertRefused(await alice.join(chats[1]), "rate_limited");
    }));

  test("a thousand, by default", () =>
    withNode({}, async (node) => {
      const alice = await node.connect("alice");
      const join = (i) => alice.join(chatOf("alice", `x${i}`));
      const answers = await Promise.all(Array.from({ length: 1_000 }, (_, i) => join(i)));
      assert.ok(answers.every(({ chatboxId }) => chatboxId));
      assertRefused(await join(1_000), "rate_limited");
    }));
});

describe("events of a user", () => {
  const [BURST, RATE] = [20, 1];
  const few = { env: { CARILLON_EVENT_BURST: String(BURST), CARILLON_EVENT_RATE: String(RATE) } };

  /** Asserts that so many were let through as may be in the time since `since`; tells that in seconds. */
  function assertPassed(passed, since) {
    const seconds = (performance.now() - since) / 1_000;
    assert.ok(passed >= BURST && passed <= BURST + RATE * seconds + 1, `${passed} passed in ${seconds} s`);
    return seconds;
  }

  test("over the limit each is refused with the time to wait, on all of the user's connections; another's are not", () =>
    withNode(few, async (node) => {
      const [alice, too, bob] = await node.connectAll("alice", "alice", "bob");
      const since = performance.now();
      const ask = (client) => Promise.all(Array.from({ length: 100 }, () => client.ask("getOnlineUsers")));
      const [answers, others] = await Promise.all([ask(alice), ask(too)]);
      const refused = answers.filter(({ error }) => error);
      const passed = [...answers, ...others].filter(({ error }) => !error);
      assertPassed(passed.length, since);
      for (const { error } of refused) assertHas(error, { message: "Too many events", ...RATE_LIMITED });
      assert.equal(alice.all("error").length, refused.length);
      assertHas(await bob.ask("joinChat", { chatboxId: "bob_zoe" }), { chatboxId: "bob_zoe" });

      await new Promise((resolve) => setTimeout(resolve, refused.at(-1).error.retryAfterMs));
      assertHas(await alice.ask("joinChat", { chatboxId: "alice_zoe" }), { chatboxId: "alice_zoe" });
    }));

  test("of typing nobody is told more than is passed on, and its sender of the rest once a second", () =>
    withNode(few, async (node) => {
      const [alice, bob] = await node.connectAll("alice", "bob");
      const chatboxId = chatOf("alice", "bob");
      await bob.join(chatboxId);
      const since = performance.now();
      const acks = await Promise.all(Array.from({ length: 500 }, (_, i) => alice.ask("typing", { chatboxId, isTyping: i % 2 === 0 })));
      await bob.fence();

      const passed = acks.filter((ack) => !ack.error);
      const seconds = assertPassed(passed.length, since);
      assert.equal(bob.all("userTyping").length, passed.length);
      for (const ack of acks.filter(({ error }) => error)) assertHas(ack.error, { message: "Too many events", ...RATE_LIMITED });
      const told = alice.all("error").length;
      assert.ok(told >= 1 && told <= 1 + seconds, `told ${told} times in ${seconds} s`);
    }));
});

describe("who floods", () => {
  test("is refused, while each message of another is acknowledged and none refused", () =>
    withNode({}, async (node) => {
      const [flooder, writer, reader] = await node.connectAll("flooder", "writer", "reader");
      const chatboxId = chatOf("writer", "reader");
      await reader.join(chatboxId);
      // As fast as the connection takes it, its answers read, until the other is done.
      let [isOver, refused, taken] = [false, 0, 0];
      const flood = (async () => {
        while (!isOver) {
          const batch = Array.from({ length: 200 }, () => flooder.send("victim", "flood"));
          for (const { error } of await Promise.all(batch)) error ? (refused += 1) : (taken += 1);
        }
      })();
      await eventually(() => refused > 0, { what: "the first refusal" });
      const before = refused;
      const waits = [];
      for (let i = 0; i < 100; i += 1) {
        const since = performance.now();
        assertHas(await writer.send("reader", `${i}`), { seq: i + 1 });
        waits.push(performance.now() - since);
      }
      const meanwhile = refused - before;
      isOver = true;
      await flood;
      await reader.fence();

      assertConsecutive(reader.all("receiveMessage").map(({ seq }) => seq));
      assert.equal(reader.all("receiveMessage").length, 100);
      assert.equal(writer.all("error").length, 0);
      assert.ok(meanwhile > 0, "it flooded meanwhile");
      assert.ok(flooder.socket.connected);
      waits.sort((a, b) => a - b);
      console.log(`# ${taken} taken and ${refused} refused of who floods; another waited ${waits[50].toFixed(1)} ms (median), ${waits[99].toFixed(1)} ms at most`);
    }));
});

describe("who does not read", () => {
  const open = { env: { CARILLON_LIMITS: "off" } };

  /** A session that has joined the chat and fetches nothing. */
  async function lazyReader(node, user, chatboxId) {
    const lazy = await Polling.open(node.endpoint);
    await lazy.post(connectPacket(node, user));
    await lazy.packets();
    await lazy.post(`420${JSON.stringify(["joinChat", { chatboxId }])}`);
    await eventually(async () => (await lazy.packets()).some((packet) => packet.startsWith("430")), { what: "the chat joined" });
    return lazy;
  }

  const closed = (node) => series(node, 'carillon_connections_closed_total{reason="slow_consumer",transport="polling"}');

  test("loses typing first, then is closed as slow; who reads beside it gets everything", () =>
    withNode(open, async (node) => {
      const chatboxId = chatOf("alice", "bob");
      const lazy = await lazyReader(node, "bob", chatboxId);
      const [writer, reader] = await node.connectAll("alice", "bob");
      await reader.join(chatboxId);
      const dropped = () => series(node, 'carillon_outbound_dropped_total{class="volatile"}');
      assert.equal(await dropped(), 0);
      for (let i = 0; i < 1_200; i += 100) {
        await Promise.all(Array.from({ length: 100 }, (_, j) => writer.ask("typing", { chatboxId, isTyping: (i + j) % 2 === 0 })));
      }
      await reader.fence();
      assert.equal(reader.all("userTyping").length, 1_200);
      assert.ok((await dropped()) >= 1_200 - 1_024, "what does not fit is dropped");
      assert.equal(await closed(node), 0, "and ends nothing");

      // What must not be lost ends who has no room for it.
      assertHas(await writer.send("bob", "not to be lost"), { seq: 1 });
      await eventually(async () => (await closed(node)) === 1, { what: "the end of who does not read" });
      assertHas(await reader.next("receiveMessage"), { message: "not to be lost" });
      const { status, text } = await lazy.poll();
      assert.ok(status === 400 || text === "1", `${status} ${text.slice(0, 100)}`);
      await reader.fence();
    }));

  test("more than 1 MiB is closed, long before it is 1,024 packets behind", () =>
    withNode(open, async (node) => {
      const chatboxId = chatOf("alice", "bob");
      const lazy = await lazyReader(node, "bob", chatboxId);
      const [writer, reader] = await node.connectAll("alice", "bob");
      await reader.join(chatboxId);
      // 3,000 bytes of text in a message, and as many in its notification.
      const text = "あ".repeat(1_000);
      let sent = 0;
      while ((await closed(node)) === 0) {
        assert.ok(sent < 300, "it is not closed");
        await Promise.all(Array.from({ length: 10 }, () => writer.send("bob", text)));
        sent += 10;
        assert.ok((await node.metric("carillon_outbound_queue_max_bytes")) <= 1_048_576);
      }
      await reader.fence();
      assert.ok(sent > 100 && 2 * sent < 1_024, `closed after ${sent} messages`);
      assert.equal(reader.all("receiveMessage").length, sent);
      await lazy.poll();
    }));
});

describe("a token's end", () => {
  for (const transports of [["polling"], ["websocket"]]) {
    test(`closes the connection when it comes, neither sooner nor seconds later (${transports})`, () =>
      withNode({}, async (node) => {
        await assertWithin(2_000, async () => {
          const end = Math.ceil(Date.now() / 1_000) + 2;
          const client = node.client(undefined, { auth: { token: node.token("alice", { exp: end }) }, transports });
          await client.connect();
          await client.next("disconnect");
          const late = Date.now() - end * 1_000;
          assert.ok(late >= -5, `closed ${-late} ms before the end`);
          return late;
        });
        const closed = await series(node, `carillon_connections_closed_total{reason="token_expired",transport="${transports[0]}"}`);
        assert.ok(closed >= 1, `${closed} closed for it`);
      }));
  }
});
