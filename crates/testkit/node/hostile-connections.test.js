// Connections that mean harm: half open, slow, in pieces, without end. They end or are borne within bounds of memory, and
// others are answered meanwhile.

import assert from "node:assert/strict";
import { after, afterEach, before, describe, test } from "node:test";
import { deflateRawSync, gzipSync } from "node:zlib";
import { assertHas } from "./assertions.js";
import { someone, startNode } from "./carillon.js";
import { closeCode, frame, hasCloseFrame, openWebSocket, request, Tcp, upgradeRequest } from "./tcp.js";
import { eventually } from "./process.js";
import { Frames, Polling } from "./wire.js";

const MEGABYTE = 1_000_000;
/** What the node may hold more than at its start, whatever comes; 2,000 connections and what the allocator keeps included. */
const MAX_GROWTH_BYTES = 150 * MEGABYTE;
/** How long others may wait for an answer meanwhile; a machine that is busy with other tests included. */
const MAX_WAIT_MS = 20_000;

let node;
let bystander;
let memoryBefore;

const memory = () => node.metric("process_resident_memory_bytes");

// Limits are off so that one address may do all of this; they have tests of their own.
async function start(env) {
  node = await startNode({ env: { CARILLON_LIMITS: "off", ...env } });
  bystander = await node.connect("bystander");
  memoryBefore = await memory();
}

afterEach(async () => {
  assert.equal(node.process.end, undefined, `the node ended: ${node.process.output.slice(-2_000)}`);
  await others();
  const growth = (await memory()) - memoryBefore;
  assert.ok(growth < MAX_GROWTH_BYTES, `the node holds ${Math.round(growth / MEGABYTE)} MB more than at its start`);
});

/** What others do meanwhile: a message over the open connection, a new connection of either transport, REST. */
async function others() {
  const since = performance.now();
  assertHas(await bystander.send("zoe", "meanwhile"), { chatboxId: "bystander_zoe" });
  const newcomers = await Promise.all([["websocket"], ["polling"]].map((transports) => node.connect(someone(), { transports })));
  for (const newcomer of newcomers) newcomer.close();
  assert.equal((await node.get("/api/chat/user/bystander/chats", { as: "bystander" })).status, 200);
  const waited = performance.now() - since;
  assert.ok(waited < MAX_WAIT_MS, `others waited for ${Math.round(waited)} ms`);
}

const host = () => ({ host: `127.0.0.1:${node.port}` });
const connectPacket = (user) => `40${JSON.stringify({ token: node.token(user) })}`;

/** A WebSocket by hand with a socket in the main namespace. */
async function joined() {
  const tcp = await openWebSocket(node.port);
  tcp.write(frame(connectPacket(someone())));
  return tcp.until(({ text }) => text.includes('40{"sid"'), "the connection");
}

/** Asks over a WebSocket by hand, and waits for the answer. */
async function isAnswered(tcp, id) {
  tcp.write(frame(`42${id}["getOnlineUsers"]`));
  await tcp.until(({ text }) => text.includes(`43${id}[`), "an answer");
}

/** Waits until the node has ended a WebSocket: by its close frame, or without one. */
async function isEnded(tcp) {
  await Promise.race([tcp.closed, tcp.until(({ received }) => hasCloseFrame(received), "a close frame").catch(() => tcp.closed)]);
  tcp.destroy();
}

describe("connections that stop halfway", { concurrency: true }, () => {
  before(() => start({ SOCKET_PING_INTERVAL: "2000", SOCKET_PING_TIMEOUT: "10000" }));
  after(() => node.stop());

  const STAGES = {
    nothing: () => "",
    "half a head": () => "GET /api/chat/user/alice/chats HTTP/1.1\r\nhost: x\r\nx: ",
    "half a later head": () => `${request("GET", "/readyz", host())}GET /readyz HTTP/1.1\r\nhost: x\r\nx: `,
    "half a body": () => request("POST", "/api/notifications/create", {
      ...host(), authorization: `Bearer ${node.token("alice")}`, "content-type": "application/json", "content-length": MEGABYTE,
    }, "{"),
    "half a WebSocket frame": () => Buffer.concat([Buffer.from(upgradeRequest(node.port)), frame("4", { length: MEGABYTE })]),
  };
  const EACH = 500;

  test(`${EACH} at each of ${Object.keys(STAGES).length} stages keep nobody out, and end by their time`, async () => {
    const opened = {};
    for (const [stage, bytes] of Object.entries(STAGES)) {
      opened[stage] = await Promise.all(Array.from({ length: EACH }, () => Tcp.open(node.port, bytes())));
      await others();
    }
    // That half a body is given up after 30 s is shown beside the code that reads it.
    // Of a head and of a frame there comes more, byte by byte, so that something is always about to be whole.
    const trickle = setInterval(() => {
      for (const stage of ["half a head", "half a later head", "half a WebSocket frame"]) for (const tcp of opened[stage]) if (!tcp.isClosed) tcp.write("x");
    }, 250);
    try {
      for (const stage of ["half a head", "half a later head", "half a WebSocket frame", "nothing"]) {
        await eventually(() => opened[stage].every(({ isClosed }) => isClosed), { every: 200, what: `the end of ${stage}` });
        await others();
      }
      // A byte that crosses the answer may have the connection reset, and the answer with it.
      const answers = opened["half a head"].map(({ statuses }) => statuses.join());
      assert.deepEqual(new Set(answers.filter((answer) => answer !== "")), new Set(["408"]));
      for (const { statuses } of opened["half a later head"]) assert.deepEqual(statuses, [200]);
      for (const { statuses } of opened["half a WebSocket frame"]) assert.deepEqual(statuses, [101]);
    } finally {
      clearInterval(trickle);
      for (const tcp of Object.values(opened).flat()) tcp.destroy();
    }
  });

  test("a session that is opened and never asked for ends with its heartbeat", async () => {
    const sessions = await Promise.all(Array.from({ length: 200 }, () => Polling.open(node.endpoint)));
    await others();
    await eventually(async () => {
      const statuses = await Promise.all(sessions.map((session) => session.request("POST", { body: "6" }).then(async (response) => {
        await response.arrayBuffer();
        return response.status;
      })));
      return statuses.every((status) => status === 400);
    }, { every: 500, what: "the end of the sessions" });
  });

  test("a poll whose client goes away holds nothing", async () => {
    for (let i = 0; i < 200; i += 1) {
      const session = await Polling.open(node.endpoint);
      const { pathname, search } = new URL(session.url());
      const tcp = await Tcp.open(node.port, request("GET", pathname + search, host()));
      tcp.destroy();
    }
  });

  test("an upgrade that never probes leaves the session on polling", async () => {
    const session = await Polling.open(node.endpoint);
    const target = `/socket.io/?EIO=4&transport=websocket&sid=${session.sid}`;
    const tcp = await Tcp.open(node.port, upgradeRequest(node.port, target));
    await tcp.until(({ statuses }) => statuses[0] === 101, "the upgrade");
    await session.post(connectPacket(someone()));
    assert.match((await session.packets())[0], /^40\{"sid"/);
    tcp.destroy();
    assert.deepEqual(await session.post("1"), { status: 200, text: "ok" });
  });
});

describe("frames", () => {
  before(() => start());
  after(() => node.stop());

  const onePerByte = (text, fin = true) => {
    const bytes = Buffer.from(text);
    return Buffer.concat([...bytes].map((byte, at) => {
      const options = { opcode: at === 0 ? 1 : 0, fin: fin && at === bytes.length - 1 };
      return frame([byte], options);
    }));
  };

  test("a message in frames of one byte is that message, also where a letter is cut", async () => {
    const tcp = await joined();
    tcp.write(onePerByte(`421["joinChat",{"chatboxId":"${"é€😀".repeat(50)}_x"}]`));
    await tcp.until(({ text }) => text.includes("431["), "the answer");
    await isAnswered(tcp, 2);
    tcp.destroy();
  });

  test("TCP packets of one byte are put together", async () => {
    const tcp = await joined();
    for (const byte of frame('421["getOnlineUsers"]')) {
      tcp.write(Buffer.from([byte]));
      await new Promise(setImmediate);
    }
    await tcp.until(({ text }) => text.includes("431["), "the answer");
    tcp.destroy();
  });

  test("100,000 frames of one byte make one message, pings between them are answered", async () => {
    const tcp = await joined();
    const message = onePerByte(`421["getOnlineUsers","${"x".repeat(100_000)}"]`);
    const middle = 7 * 50_000;
    tcp.write(message.subarray(0, middle));
    tcp.write(frame("still there", { opcode: 9 }));
    tcp.write(message.subarray(middle));
    await others();
    await tcp.until(({ text }) => text.includes("still there") && text.includes("431["), "the answer");
    tcp.destroy();
  });

  test("100,000 frames of nothing make no message, and hold nobody up", async () => {
    const tcp = await joined();
    const empty = frame("", { opcode: 0, fin: false });
    tcp.write(frame('421["getOnlineUsers"', { fin: false }));
    tcp.write(Buffer.concat(Array(100_000).fill(empty)));
    tcp.write(frame("]", { opcode: 0 }));
    await others();
    await tcp.until(({ text }) => text.includes("431["), "the answer");
    tcp.destroy();
  });

  test("a message without an end closes with 1009 once it is over 1 MB", async () => {
    const tcp = await joined();
    tcp.write(frame("4", { fin: false }));
    const piece = frame(Buffer.alloc(100_000, "x"), { opcode: 0, fin: false });
    for (let i = 0; i < 10; i += 1) tcp.write(piece);
    await isEnded(tcp);
    assert.equal(closeCode(tcp), 1009);
  });

  for (const [name, bytes] of [
    ["a new message inside another", () => Buffer.concat([frame("42", { fin: false }), frame("2")])],
    ["a continuation of nothing", () => frame("2", { opcode: 0 })],
    ["a reserved operation", () => frame("2", { opcode: 3 })],
    ["a reserved control operation", () => frame("2", { opcode: 11 })],
    ["the bit of an extension nobody agreed on", () => frame("2", { rsv: 4 })],
    ["the other reserved bits", () => frame("2", { rsv: 3 })],
    ["a ping over 125 bytes", () => frame("x".repeat(126), { opcode: 9 })],
    ["no mask", () => frame("3", { mask: false })],
    ["text that is no UTF-8", () => frame([0x34, 0xc3, 0x28])],
    ["overlong UTF-8", () => frame([0x34, 0xc0, 0xaf])],
    ["half a surrogate pair in UTF-8", () => frame([0x34, 0xed, 0xa0, 0x80])],
    ["a letter that is cut off at the end", () => Buffer.concat([frame([0x34, 0xe2], { fin: false }), frame([0x82], { opcode: 0 })])],
    ["2^63 bytes announced", () => frame("4", { length: 2 ** 62 })],
    ["an empty text", () => frame("")],
    ["a close of one byte", () => frame([3], { opcode: 8 })],
    ["a close with a code of nobody", () => frame([0, 1], { opcode: 8 })],
  ]) {
    test(`${name} closes that connection`, async () => {
      const tcp = await joined();
      tcp.write(bytes());
      await isEnded(tcp);
    });
  }

  test("pings without end, their answers never read, are not kept", async () => {
    const tcp = await joined();
    tcp.socket.pause();
    const pings = Buffer.concat(Array(1_000).fill(frame("x".repeat(125), { opcode: 9 })));
    for (let i = 0; i < 100; i += 1) {
      if (!tcp.write(pings)) await Promise.race([new Promise((resolve) => tcp.socket.once("drain", resolve)), new Promise((resolve) => setTimeout(resolve, 50))]);
    }
    await others();
    tcp.destroy();
  });

  test("questions without end, their answers never read, are not kept", async () => {
    const tcp = await joined();
    tcp.socket.pause();
    const asked = Buffer.concat(Array(1_000).fill(frame('421["getOnlineUsers"]')));
    for (let i = 0; i < 30; i += 1) {
      if (!tcp.write(asked)) await Promise.race([new Promise((resolve) => tcp.socket.once("drain", resolve)), new Promise((resolve) => setTimeout(resolve, 50))]);
    }
    await others();
    tcp.destroy();
  });
});

describe("compression bombs", () => {
  before(() => start());
  after(() => node.stop());

  const bomb = deflateRawSync(Buffer.alloc(100 * MEGABYTE, "a"));

  test("are not agreed on: the handshake answers no extension", async () => {
    const offer = "permessage-deflate; client_max_window_bits, x-webkit-deflate-frame";
    const tcp = await openWebSocket(node.port, { headers: { "sec-websocket-extensions": offer } });
    assert.doesNotMatch(tcp.text, /sec-websocket-extensions/i);
    // Sent all the same, and marked as compressed.
    tcp.write(frame(bomb, { rsv: 4 }));
    await isEnded(tcp);
  });

  test("a POST in a session is read as it is", async () => {
    const session = await Polling.open(node.endpoint);
    const headers = { "content-type": "text/plain;charset=UTF-8", "content-encoding": "gzip" };
    const packed = gzipSync(connectPacket(someone()));
    await session.post(packed, headers);
    assert.equal((await session.request("POST", { body: "6" })).status, 400);
    const other = await Polling.open(node.endpoint);
    await other.post(gzipSync(Buffer.alloc(100 * MEGABYTE)), headers);
  });
});

describe("packets", () => {
  before(() => start());
  after(() => node.stop());

  test("10,000 namespaces are refused one by one, and none of them is kept", async () => {
    const frames = await Frames.open(node.endpoint);
    for (let i = 0; i < 10_000; i += 500) {
      for (let j = i; j < i + 500; j += 1) frames.send(`40/n${j},{"token":"x"}`);
      for (let j = i; j < i + 500; j += 1) assert.equal(await frames.nextMessage(), `44/n${j},{"message":"Invalid namespace"}`);
    }
    frames.send(connectPacket(someone()));
    assert.match(await frames.nextMessage(), /^40\{"sid"/);
    frames.terminate();
  });

  test("namespaces of 900 kB are refused, too", async () => {
    const frames = await Frames.open(node.endpoint);
    for (let i = 0; i < 5; i += 1) {
      frames.send(`40/${"n".repeat(900_000)}${i},`);
      assert.match((await frames.nextMessage()).slice(-40), /"Invalid namespace"\}$/);
    }
    frames.terminate();
  });

  test("CONNECT a thousand times makes one socket", async () => {
    const user = someone();
    const frames = await Frames.open(node.endpoint);
    for (let i = 0; i < 1_000; i += 1) frames.send(connectPacket(user));
    const end = await frames.until((read) => read === undefined || read.startsWith("40"));
    assert.ok(end.length > 0);
    frames.terminate();
  });

  for (const ack of ['43999["x"]', "430[]", '439007199254740991[{"a":1}]', '43184467440737095[null]', '461-0["x",{"_placeholder":true,"num":0}]']) {
    test(`an answer that nobody asked for is passed over: ${ack}`, async () => {
      const tcp = await joined();
      tcp.write(frame(ack));
      if (ack.startsWith("46")) tcp.write(frame([1, 2, 3], { opcode: 2 }));
      await isAnswered(tcp, 5);
      tcp.destroy();
    });
  }

  for (const count of [11, 1_000, 99_999_999]) {
    test(`${count} attachments close the connection before any comes`, async () => {
      const tcp = await joined();
      tcp.write(frame(`45${count}-["x",{"_placeholder":true,"num":0}]`));
      await isEnded(tcp);
    });
  }

  test("attachments that never come hold no more than ten messages", async () => {
    const all = await Promise.all(Array.from({ length: 10 }, joined));
    for (const tcp of all) {
      tcp.write(frame('4510-["x",{"_placeholder":true,"num":0}]'));
      for (let i = 0; i < 9; i += 1) tcp.write(frame(Buffer.alloc(900_000), { opcode: 2 }));
    }
    await others();
    for (const tcp of all) tcp.destroy();
  });

  test("a key given twice is one key, the last", async () => {
    const tcp = await joined();
    tcp.write(frame('421["sendMessage",{"receiverId":"x","message":"","message":"the last","senderName":"a","receiverName":"b"}]'));
    await tcp.until(({ text }) => /431\[\{[^\]]*"seq":1/.test(text), "the confirmation");
    tcp.destroy();
  });
});

describe("session ids", () => {
  before(() => start());
  after(() => node.stop());

  const UNKNOWN = { status: 400, text: '{"code":1,"message":"Session ID unknown"}' };
  const ask = async (sid, method = "GET") => {
    const response = await fetch(`${node.endpoint}?EIO=4&transport=polling&sid=${sid}`, { method, body: method === "POST" ? "2" : undefined });
    return { status: response.status, text: await response.text() };
  };
  /** One letter is another. */
  const near = (sid, at) => sid.slice(0, at) + (sid[at] === "A" ? "B" : "A") + sid.slice(at + 1);

  test("guessed near a living one are all unknown, and the living one goes on", async () => {
    const session = await Polling.open(node.endpoint);
    for (let at = 0; at < session.sid.length; at += 1) {
      assert.deepEqual(await ask(near(session.sid, at)), UNKNOWN);
      assert.deepEqual(await ask(near(session.sid, at), "POST"), UNKNOWN);
    }
    for (const sid of [session.sid.slice(0, -1), `${session.sid}A`, session.sid.toLowerCase() + " ", session.sid.split("").reverse().join("")]) {
      assert.deepEqual(await ask(encodeURIComponent(sid)), UNKNOWN);
    }
    assert.equal((await session.post("1")).status, 200);
  });

  test("of the past are as unknown as those that never were", async () => {
    const session = await Polling.open(node.endpoint);
    await session.post("1");
    await eventually(async () => (await ask(session.sid)).status === 400, { what: "the end of the session" });
    assert.deepEqual(await ask(session.sid), UNKNOWN);
    assert.deepEqual(await ask(session.sid, "POST"), UNKNOWN);
    const tcp = await Tcp.open(node.port, upgradeRequest(node.port, `/socket.io/?EIO=4&transport=websocket&sid=${session.sid}`));
    await tcp.until(({ text }) => text.includes("Session ID unknown"), "the refusal");
    tcp.destroy();
  });

  test("take no longer to refuse the nearer they are", async () => {
    const session = await Polling.open(node.endpoint);
    const kinds = { far: near(session.sid, 0), near: near(session.sid, session.sid.length - 1), short: "x" };
    const times = Object.fromEntries(Object.keys(kinds).map((kind) => [kind, []]));
    for (let i = 0; i < 300; i += 1) {
      for (const [kind, sid] of Object.entries(kinds)) {
        const since = performance.now();
        await ask(sid);
        times[kind].push(performance.now() - since);
      }
    }
    const medians = Object.values(times).map((all) => all.sort((a, b) => a - b)[all.length / 2]);
    assert.ok(Math.max(...medians) < 2 * Math.min(...medians), `medians of ${medians.join(", ")} ms`);
    await session.post("1");
  });

  test("of a WebSocket are none to poll, to post or to upgrade with", async () => {
    const victim = await Frames.open(node.endpoint);
    victim.send(connectPacket(someone()));
    await victim.until((read) => read.startsWith("40"));
    const { sid } = victim.handshake;
    assert.equal((await ask(sid)).status, 400);
    assert.equal((await ask(sid, "POST")).status, 400);
    const tcp = await Tcp.open(node.port, upgradeRequest(node.port, `/socket.io/?EIO=4&transport=websocket&sid=${sid}`));
    await isEnded(tcp);
    victim.send('420["getOnlineUsers"]');
    await victim.until((read) => read.startsWith("430["));
    victim.terminate();
  });

  test("another's pid recovers nothing for its thief, and is good for its owner afterwards", async () => {
    const alice = someone("alice");
    const client = await node.connect(alice);
    await client.fence();
    const pid = client.socket._pid;
    const offset = client.socket._lastOffset ?? "";
    const thief = await Frames.open(node.endpoint);
    thief.send(`40${JSON.stringify({ token: node.token("eve"), pid, offset })}`);
    const [answer] = (await thief.until((read) => read.startsWith("40"))).slice(-1);
    assert.notEqual(JSON.parse(answer.slice(2)).pid, pid);
    assert.notEqual(JSON.parse(answer.slice(2)).sid, client.id);
    await client.drop();
    await client.reconnect();
    await client.fence();
    thief.terminate();
    client.close();
  });
});
