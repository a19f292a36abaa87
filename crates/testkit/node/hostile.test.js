// Bad input of every kind: the one who sends it gets an error or loses its connection; everybody else notices nothing.

import assert from "node:assert/strict";
import { once } from "node:events";
import { connect } from "node:net";
import { after, afterEach, before, describe, test } from "node:test";
import { assertHas } from "./assertions.js";
import { someone, startNode } from "./carillon.js";
import { Frames, Polling, within } from "./wire.js";

let node;
let bystander;

before(async () => {
  node = await startNode();
  bystander = await node.connect("bystander");
});
after(() => node?.stop());

// Whatever was sent: the node lives, and others are answered.
afterEach(async () => {
  assert.equal(node.process.end, undefined, "the node ended");
  await bystander.fence();
  assert.equal((await node.get("/readyz")).status, 200);
});

const EVENTS = ["joinChat", "leaveChat", "sendMessage", "markMessageRead", "typing", "getOnlineUsers", "refreshToken", "unknown", "toString", "__proto__"];

const deep = (levels) => {
  let value = {};
  for (let i = 0; i < levels; i += 1) value = i % 2 ? [value] : { a: value };
  return value;
};

const VALUES = () => [
  undefined,
  null,
  true,
  false,
  0,
  -1,
  1.5,
  1e308,
  Number.MAX_SAFE_INTEGER,
  "",
  "text",
  "\u0000",
  "\ud83d",
  [],
  [[[]]],
  {},
  { $gt: "" },
  { $where: "while(true){}" },
  { constructor: { prototype: {} } },
  JSON.parse('{"__proto__":{"isAdmin":true}}'),
  { _placeholder: true, num: 0 },
  { length: 5 },
  deep(60),
  "x".repeat(50_000),
  Array(5_000).fill(0),
  Buffer.from([0, 255]),
  new Date(0),
];

const FIELDS = ["chatboxId", "receiverId", "message", "senderName", "receiverName", "messageId", "isTyping", "clientMessageId", "token"];

for (const parser of ["default", "msgpack"]) {
  describe(`payloads with the ${parser} parser`, () => {
    for (const event of EVENTS) {
      test(`${event} answers each of them and keeps the connection`, async () => {
        const user = someone();
        const client = await node.connect(user, { parser });
        const payloads = VALUES().flatMap((value) => [[value], [value, value, value]]);
        for (const value of VALUES()) {
          payloads.push([Object.fromEntries(FIELDS.map((field) => [field, value]))]);
        }
        for (const payload of payloads) {
          const answer = await client.ask(event, ...payload);
          assert.equal(typeof answer, "object", JSON.stringify(payload).slice(0, 200));
        }
        assert.ok(client.socket.connected);
        client.close();
      });
    }
  });
}

describe("frames that break the wire format close that one connection", () => {
  const attack = async (...sent) => {
    const user = someone();
    const frames = await Frames.open(node.endpoint);
    frames.send(`40${JSON.stringify({ token: node.token(user) })}`);
    await frames.until((frame) => frame === undefined || frame.startsWith("40"));
    for (const frame of sent) frames.send(frame);
    await frames.until((frame) => frame === undefined);
    return frames.closed;
  };

  for (const [name, ...sent] of [
    ["no JSON", '42["typing",{]'],
    ["deep nesting", `42["typing",${"[".repeat(200_000)}`],
    ["deep nesting that closes", `42["typing",${"[".repeat(20_000)}${"]".repeat(20_000)}]`],
    ["an ack id of a thousand digits", `42${"9".repeat(1_000)}["getOnlineUsers"]`],
    ["an attachment count beyond numbers", `45${"9".repeat(30)}-["x",{"_placeholder":true,"num":0}]`],
    ["a negative attachment count", '45-1-["x"]'],
    ["a placeholder with a fraction", '451-["x",{"_placeholder":true,"num":0.5}]', Buffer.from([1])],
    ["a placeholder with a negative number", '451-["x",{"_placeholder":true,"num":-1}]', Buffer.from([1])],
    ["a reserved name", '42["disconnect","x"]'],
    ["another namespace's event", '42/other,["typing"]'],
    ["binary that nobody announced", Buffer.alloc(1_000)],
    ["an unknown type", "9"],
  ]) {
    test(name, async () => {
      await attack(...sent);
    });
  }

  test("text that is no UTF-8 is closed with 1007 or without a code", async () => {
    const frames = await Frames.open(node.endpoint);
    frames.socket.send(Buffer.from([0x34, 0x32, 0xff, 0xfe]), { binary: false });
    assert.ok([1005, 1007, 1002].includes(await frames.closed));
  });

  test("frames that break the WebSocket protocol itself", async () => {
    const frames = await Frames.open(node.endpoint);
    frames.socket._socket.write(Buffer.from([0xff, 0xff, 0xff, 0xff, 0xff, 0xff]));
    await within(frames.closed, "the close");
  });

  test("an unmasked frame", async () => {
    const frames = await Frames.open(node.endpoint);
    frames.socket._socket.write(Buffer.from([0x81, 0x02, 0x32, 0x33]));
    await within(frames.closed, "the close");
  });
});

describe("half a surrogate pair never closes a connection", () => {
  for (const [name, frame] of [
    ["in a message", (receiver) => `420["sendMessage",{"receiverId":"${receiver}","message":"\\ud83d","senderName":"a","receiverName":"b"}]`],
    ["in a name", (receiver) => `420["sendMessage",{"receiverId":"${receiver}","message":"m","senderName":"\\ude00x","receiverName":"b"}]`],
    ["in an id", () => '420["joinChat",{"chatboxId":"\\udfff_x"}]'],
    ["in a key", () => '420["typing",{"\\ud800":1}]'],
    ["in an event name", () => '420["\\ud800"]'],
  ]) {
    test(name, async () => {
      const frames = await Frames.open(node.endpoint);
      frames.send(`40${JSON.stringify({ token: node.token(someone()) })}`);
      await frames.until((read) => read === undefined || read.startsWith("40"));
      frames.send(frame(someone()));
      const read = await frames.until((answer) => answer === undefined || answer.startsWith("430["));
      assert.notEqual(read.at(-1), undefined, "the connection was closed");
      frames.terminate();
    });
  }

  test("in the token", async () => {
    const frames = await Frames.open(node.endpoint);
    frames.send('40{"token":"\\ud83d"}');
    assert.equal(await frames.nextMessage(), '44{"message":"Authentication failed"}');
    frames.terminate();
  });
});

describe("raw HTTP", () => {
  /** What the node answers to these bytes until it closes, or within a second. */
  async function answerTo(data) {
    const socket = connect(node.port, "127.0.0.1");
    let answer = "";
    socket.setEncoding("latin1").on("data", (text) => (answer += text)).on("error", () => {});
    const closed = new Promise((resolve) => socket.on("close", resolve));
    socket.end(data);
    await Promise.race([closed, new Promise((resolve) => setTimeout(resolve, 1_000))]);
    socket.destroy();
    return answer;
  }

  for (const [name, data] of [
    ["no HTTP", "\u0000\u0001\u0002\r\n\r\n"],
    ["TLS", Buffer.from("16030100a5010000a10303", "hex")],
    ["a header without end", `GET / HTTP/1.1\r\nx: ${"y".repeat(200_000)}`],
    ["a thousand headers", `GET / HTTP/1.1\r\n${Array.from({ length: 1_000 }, (_, i) => `h${i}: 1\r\n`).join("")}\r\n`],
    ["two lengths", "POST /api/notifications/create HTTP/1.1\r\nhost: x\r\ncontent-length: 5\r\ncontent-length: 6\r\n\r\nhello!"],
    ["a length and chunks", "POST /api/notifications/create HTTP/1.1\r\nhost: x\r\ncontent-length: 5\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n"],
    ["a negative length", "POST /socket.io/?EIO=4&transport=polling HTTP/1.1\r\nhost: x\r\ncontent-length: -1\r\n\r\n"],
    ["a path of 60 kB", `GET /${"a".repeat(60_000)} HTTP/1.1\r\nhost: x\r\n\r\n`],
    ["a path with control characters", "GET /\u0001 HTTP/1.1\r\nhost: x\r\n\r\n"],
    ["an unknown method", "BREW /api HTTP/1.1\r\nhost: x\r\n\r\n"],
    ["an upgrade to something else", "GET /socket.io/?EIO=4&transport=websocket HTTP/1.1\r\nhost: x\r\nconnection: upgrade\r\nupgrade: h2c\r\n\r\n"],
    ["a WebSocket without a key", "GET /socket.io/?EIO=4&transport=websocket HTTP/1.1\r\nhost: x\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n"],
  ]) {
    test(name, async () => {
      const answer = await answerTo(data);
      assert.doesNotMatch(answer, /^HTTP\/1\.\d 2\d\d /, answer.slice(0, 300));
      assert.doesNotMatch(answer, /^HTTP\/1\.\d 5\d\d /, answer.slice(0, 300));
    });
  }

  for (const query of ["?", "?EIO=4&EIO=3&transport=polling", "?EIO=4&transport=polling&transport=websocket", "?EIO=4&transport=polling&sid=%FF", "?EIO=4&transport=polling&sid=", "?%ZZ", `?EIO=4&transport=polling&sid=${"x".repeat(5_000)}`, "?EIO=4&transport=polling&sid[]=1"]) {
    test(`query ${query.slice(0, 60)}`, async () => {
      const { status } = await node.raw("GET", `/socket.io/${query}`);
      assert.ok([200, 400].includes(status), `status ${status}`);
    });
  }
});

describe("sessions", () => {
  test("opened and left alone do not keep others out", async () => {
    const sessions = await Promise.all(Array.from({ length: 200 }, () => Polling.open(node.endpoint)));
    assertHas(await bystander.ask("joinChat", { chatboxId: "bystander_zoe" }), { chatboxId: "bystander_zoe" });
    await Promise.all(sessions.map((session) => session.post("1")));
  });

  test("cut in the middle of a body", async () => {
    const session = await Polling.open(node.endpoint);
    const socket = connect(node.port, "127.0.0.1");
    await once(socket, "connect");
    const { pathname, search } = new URL(session.url());
    socket.write(`POST ${pathname}${search} HTTP/1.1\r\nhost: x\r\ncontent-length: 1000\r\n\r\n4abc`);
    socket.destroy();
  });
});
