// The node's own transport: its settings, its bounds, the msgpack parser byte by byte, an upgrade under traffic.

import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { assertHas } from "./assertions.js";
import { someone, startNode } from "./carillon.js";
import { eventually } from "./process.js";
import { describeOneNode, start } from "./topology.js";
import { within, Frames, Polling, SEPARATOR } from "./wire.js";

let node;

before(async () => {
  node = await start();
});
after(() => node?.stop());

const connectPacket = (user) => `40${JSON.stringify({ token: node.token(user) })}`;

async function joined(user = someone()) {
  const frames = await Frames.open(node.endpoint);
  frames.send(connectPacket(user));
  await frames.until((frame) => frame === undefined || frame.startsWith("40"));
  return frames;
}

describe("handshake", () => {
  test("announces the contract's heartbeat and limit", async () => {
    const { handshake } = await Polling.open(node.endpoint);
    const { pingInterval, pingTimeout, maxPayload } = handshake;
    assert.deepEqual({ pingInterval, pingTimeout, maxPayload }, { pingInterval: 25_000, pingTimeout: 60_000, maxPayload: 1_000_000 });
  });

  test("sets no cookie and is never cached", async () => {
    const response = await fetch(`${node.endpoint}?EIO=4&transport=polling`);
    assert.equal(response.headers.get("set-cookie"), null);
    assert.equal(response.headers.get("cache-control"), "no-store");
  });

  test("every session and every socket has an id of its own", async () => {
    const sessions = await Promise.all(Array.from({ length: 50 }, () => Polling.open(node.endpoint)));
    assert.equal(new Set(sessions.map(({ sid }) => sid)).size, 50);
    await Promise.all(sessions.map((session) => session.post("1")));
  });

  test("the path without its slash is not served", async () => {
    const { status, text } = await node.raw("GET", "/socket.io?EIO=4&transport=polling");
    assert.equal(status, 404);
    assertHas(JSON.parse(text), { code: "not_found" });
  });
});

describe("bounds", () => {
  test("a POST over 1 MB is 413 with an empty body, and the session goes on", async () => {
    const session = await Polling.open(node.endpoint);
    assert.deepEqual(await session.post("4".repeat(1_000_001)), { status: 413, text: "" });
    await session.post(connectPacket(someone()));
    assert.match((await session.packets())[0], /^40\{/);
    await session.post("1");
  });

  test("a WebSocket message over 1 MB closes with 1009", async () => {
    const frames = await joined();
    frames.send("4".repeat(1_000_001));
    await frames.until((frame) => frame === undefined);
    assert.equal(await frames.closed, 1009);
  });

  test("a payload of 1,000 packets passes, 1,001 ends the session", async () => {
    for (const [count, status] of [[1_000, 200], [1_001, 400]]) {
      const session = await Polling.open(node.endpoint);
      await session.post(Array(count).fill("6").join(SEPARATOR));
      assert.equal((await session.request("POST", { body: "6" })).status, status, `after ${count} packets`);
    }
  });

  test("what stands before a bad packet in a payload is still done", async () => {
    const [user, other] = [someone(), someone()];
    const session = await Polling.open(node.endpoint);
    await session.post(connectPacket(user));
    await session.packets();
    const message = { receiverId: other, message: "before", senderName: "a", receiverName: "b" };
    await session.post(`42${JSON.stringify(["sendMessage", message])}${SEPARATOR}abc`);
    assert.equal((await session.request("GET")).status, 400);
    const path = `/api/chat/messages/${[user, other].sort().join("_")}`;
    const stored = await eventually(async () => {
      const { messages } = (await node.get(path, { as: other })).body;
      return messages.length > 0 && messages;
    });
    assert.deepEqual(stored.map(({ message: text }) => text), ["before"]);
  });

  test("a session that nobody names a user in holds no more than a connection", async () => {
    const frames = await Frames.open(node.endpoint);
    frames.send('42["getOnlineUsers"]');
    assert.equal(await frames.closed, 1005);
  });
});

describe("acknowledgements on the wire", () => {
  test("the ack has the packet's id, the event beside it an offset and no id", async () => {
    const user = someone();
    const frames = await joined(user);
    const chatboxId = ["zoe", user].sort().join("_");
    frames.send(`4217${JSON.stringify(["joinChat", { chatboxId }])}`);
    const read = [];
    while (read.length < 2) {
      const frame = await frames.nextMessage();
      if (!frame.includes("userStatusChange")) read.push(frame);
    }
    const ack = JSON.parse(read.find((frame) => frame.startsWith("4317[")).slice(4));
    const event = JSON.parse(read.find((frame) => frame.startsWith("42[")).slice(2));
    assert.equal(ack.length, 1);
    assert.equal(event.length, 3);
    assert.deepEqual(event[1], ack[0]);
    frames.terminate();
  });
});

describe("the msgpack parser", () => {
  const bytes = (...parts) => Buffer.concat(parts.map((part) => (typeof part === "string" ? Buffer.from(part, "hex") : part)));
  const text = (value) => bytes(Buffer.from([0xa0 | value.length]), Buffer.from(value));
  const str8 = (value) => bytes(Buffer.from([0xd9, value.length]), Buffer.from(value));
  const str16 = (value) => bytes(Buffer.from([0xda, value.length >> 8, value.length & 255]), Buffer.from(value));
  const nsp = bytes(text("nsp"), text("/"));

  const connect = (user) => {
    const token = node.token(user);
    const written = token.length < 256 ? str8(token) : str16(token);
    return bytes("83", text("type"), "00", text("data"), "81", text("token"), written, nsp);
  };

  async function connected() {
    const frames = await Frames.open(node.endpoint);
    frames.send(connect(someone()));
    const reply = await frames.nextMessage();
    assert.ok(Buffer.isBuffer(reply));
    return { frames, reply };
  }

  test("CONNECT is answered in kind, sid and pid as text, no key that is nil", async () => {
    const { frames, reply } = await connected();
    assert.ok(reply.includes(text("sid")) && reply.includes(text("pid")));
    assert.equal(reply[0], 0x83);
    assert.ok(!reply.includes(bytes(text("id"), "c0")));
    frames.terminate();
  });

  test("a CONNECT whose data is undefined has no token", async () => {
    const frames = await Frames.open(node.endpoint);
    frames.send(bytes("83", text("type"), "00", text("data"), "d40000", nsp));
    assert.match((await frames.nextMessage()).toString("latin1"), /Authentication token required/);
    frames.terminate();
  });

  for (const [name, packet] of [
    ["an id that is nil", () => bytes("84", text("type"), "02", text("data"), "91", text("getOnlineUsers"), text("id"), "c0", nsp)],
    ["a missing namespace", () => bytes("82", text("type"), "02", text("data"), "91", text("getOnlineUsers"))],
    ["an unknown type", () => bytes("83", text("type"), "07", text("data"), "91", text("a"), nsp)],
    ["data that is no list", () => bytes("83", text("type"), "02", text("data"), "80", nsp)],
    ["bytes that are no msgpack", () => bytes("c1ffff")],
    ["a length beyond the end", () => bytes("dfffffffff")],
    ["deep nesting", () => bytes("83", text("type"), "02", text("data"), Buffer.alloc(100_000, 0x91))],
    ["text", () => '42["getOnlineUsers"]'],
  ]) {
    test(`${name} closes the connection`, async () => {
      const { frames } = await connected();
      frames.send(packet());
      await frames.until((frame) => frame === undefined);
      assert.equal(await frames.closed, 1005);
    });
  }
});

describe("an upgrade under traffic", () => {
  for (const parser of ["default", "msgpack"]) {
    test(`loses nothing in either direction with the ${parser} parser`, async () => {
      const [alice, bob] = [someone("alice"), someone("bob")];
      const chatboxId = [alice, bob].sort().join("_");
      const writer = await node.connect(bob);
      const client = await node.connect(alice, { transports: ["polling", "websocket"], parser });
      await Promise.all([client.join(chatboxId), writer.join(chatboxId)]);
      const upgraded = client.upgraded();
      const sends = Array.from({ length: 80 }, (_, i) => client.send(bob, `up ${i}`));
      const answers = Array.from({ length: 80 }, (_, i) => writer.send(alice, `down ${i}`));
      await Promise.all([...sends, ...answers, upgraded]);
      await client.fence();

      const received = client.all("receiveMessage");
      assert.equal(received.length, 160);
      assert.deepEqual(received.map(({ seq }) => seq), Array.from({ length: 160 }, (_, i) => i + 1));
      assert.equal(client.engine.transport.name, "websocket");
    });
  }
});

describeOneNode("the heartbeat", () => {
  test("is set by its two variables", async () => {
    const quick = await startNode({ env: { SOCKET_PING_INTERVAL: "300", SOCKET_PING_TIMEOUT: "200" } });
    try {
      const frames = await Frames.open(quick.endpoint);
      assertHas(frames.handshake, { pingInterval: 300, pingTimeout: 200 });
      assert.equal(await frames.next(), "2");
      assert.equal(await frames.closed, 1005);
    } finally {
      await quick.stop();
    }
  });
});

describeOneNode("a reader who lags", () => {
  test("1,024 packets behind it is closed; it slows nobody, and nobody else is closed", async () => {
    const open = await startNode({ env: { CARILLON_LIMITS: "off" } });
    try {
      const [alice, bob] = ["alice", "bob"];
      const lazy = await Polling.open(open.endpoint);
      await lazy.post(`40${JSON.stringify({ token: open.token(bob) })}`);
      await lazy.packets();
      const [writer, reader] = await open.connectAll(alice, bob);
      for (let i = 0; i < 1_100; i += 50) {
        await Promise.all(Array.from({ length: 50 }, (_, j) => writer.send(bob, `${i + j}`)));
      }
      await reader.fence();

      assert.equal(reader.all("notification").length, 1_100);
      const gone = await within(lazy.poll(), "the end of the lazy session");
      if (gone.status === 200) {
        assert.ok(gone.text.split(SEPARATOR).length <= 1_025);
        assert.equal((await lazy.poll()).status, 400);
      } else {
        assert.equal(gone.status, 400);
      }
    } finally {
      await open.stop();
    }
  });
});

describeOneNode("requests of an open session", () => {
  test("count for its user, not for its address; one too many is 429 and ends nothing", async () => {
    const limited = await startNode({ env: { CARILLON_REQUEST_RATE: "5" } });
    try {
      const open = async (user) => {
        const session = await Polling.open(limited.endpoint);
        await session.post(`40${JSON.stringify({ token: limited.token(user) })}`);
        await session.packets();
        return session;
      };
      const [alice, bob] = [await open("alice"), await open("bob")];
      const refused = await eventually(async () => {
        const response = await alice.request("POST", { body: "3" });
        const body = await response.text();
        return response.status === 429 && { body: JSON.parse(body), retryAfter: response.headers.get("retry-after") };
      }, { every: 0, what: "a refusal" });

      assert.deepEqual(refused.body, { code: 4, message: "Too many requests" });
      assert.ok(Number(refused.retryAfter) >= 1);
      assert.equal((await bob.post("3")).status, 200);
      await eventually(async () => (await alice.post("3")).status === 200, { what: "the next turn" });
    } finally {
      await limited.stop();
    }
  });
});

describe("a client that asks faster than it is answered", () => {
  // The official client puts all of a tick into one payload, which may hold 1,000 packets.
  for (const [transport, count] of [["websocket", 2_000], ["polling", 900]]) {
    test(`gets every refusal and stays, over ${transport}`, async () => {
      const user = someone();
      const client = await node.connect(user, { transports: [transport] });
      const answers = Array.from({ length: count }, () => client.socket.emitWithAck("sendMessage", { message: "" }));
      for (const answer of await within(Promise.all(answers), "every ack")) {
        assert.equal(answer.error.message, "Missing required fields");
      }
      assert.equal(client.all("error").length, count);
      assert.ok(client.socket.connected);
    });
  }
});

describe("a frame that announces more than may be sent", () => {
  test("ends its connection with 1009 before its payload comes", async () => {
    const frames = await Frames.open(node.endpoint);
    frames.socket._socket.write(Buffer.from("81ff0000000080000000" + "00000000", "hex"));
    assert.equal(await within(frames.closed, "the close frame"), 1009);
  });
});
