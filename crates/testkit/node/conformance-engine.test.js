// Engine.IO v4, rule by rule, against the conformance server. That its timers are kept to the millisecond is
// shown beside the code, by a clock of the tests; here nothing comes too early, and it comes.

import assert from "node:assert/strict";
import { once } from "node:events";
import { after, before, describe, test } from "node:test";
import { startConformanceServer } from "./conformance.js";
import { eventually } from "./process.js";
import { heldPoll } from "./tcp.js";
import { Frames, Polling, refusedUpgrade, SEPARATOR } from "./wire.js";

let server;
/** One whose heartbeat is over soon. */
let hasty;
let endpoint;

before(async () => {
  [server, hasty] = await Promise.all([startConformanceServer(), startConformanceServer({ pingInterval: 300, pingTimeout: 200 })]);
});
after(() => Promise.all([server?.stop(), hasty?.stop()]));

const HANDSHAKE_KEYS = ["maxPayload", "pingInterval", "pingTimeout", "sid", "upgrades"];

function assertHandshake(handshake, upgrades) {
  assert.deepEqual(Object.keys(handshake).sort(), HANDSHAKE_KEYS);
  assert.match(handshake.sid, /^[A-Za-z0-9_-]{20,}$/);
  assert.deepEqual(handshake.upgrades, upgrades);
  assert.equal(handshake.pingInterval, 2_000);
  assert.equal(handshake.pingTimeout, 30_000);
  assert.equal(handshake.maxPayload, 1_000_000);
}

async function assertCoded(response, status, code, message) {
  assert.equal(response.status, status);
  assert.match(response.headers.get("content-type"), /^application\/json/);
  assert.deepEqual(await response.json(), { code, message });
}

/** A session that is gone answers like one that never was. */
async function assertUnknown(session) {
  await assertCoded(await session.request("GET"), 400, 1, "Session ID unknown");
}

/** Upgrades an open polling session in the way of the official client. */
async function upgrade(session) {
  const frames = await Frames.connect(session.url({ transport: "websocket" }));
  frames.send("2probe");
  assert.equal(await frames.next(), "3probe");
  frames.send("5");
  return frames;
}

for (const path of ["engine", "socket"]) {
  describe(`sessions at the ${path}.io path`, () => {
    before(() => {
      endpoint = server[path];
    });

    describe("handshake over polling", () => {
      test("answers the open packet with exactly five keys", async () => {
        const response = await fetch(`${endpoint}?EIO=4&transport=polling`);
        const text = await response.text();

        assert.equal(response.status, 200);
        assert.match(response.headers.get("content-type"), /^text\/plain; charset=UTF-8$/i);
        assert.equal(response.headers.get("cache-control"), "no-store");
        assert.equal(text[0], "0");
        assertHandshake(JSON.parse(text.slice(1)), ["websocket"]);
      });

      for (const query of ["transport=polling", "EIO=3&transport=polling", "EIO=abc&transport=polling", "EIO=&transport=polling"]) {
        test(`refuses another protocol version: ${query}`, async () => {
          await assertCoded(await fetch(`${endpoint}?${query}`), 400, 5, "Unsupported protocol version");
        });
      }

      for (const query of ["EIO=4", "EIO=4&transport=abc", "EIO=3&transport=abc", "EIO=4&transport=webtransport"]) {
        test(`refuses another transport: ${query}`, async () => {
          await assertCoded(await fetch(`${endpoint}?${query}`), 400, 0, "Transport unknown");
        });
      }

      for (const method of ["POST", "PUT", "DELETE", "PATCH"]) {
        test(`refuses ${method} without a session`, async () => {
          const response = await fetch(`${endpoint}?EIO=4&transport=polling`, { method });
          await assertCoded(response, 400, 2, "Bad handshake method");
        });
      }

      test("refuses transport=websocket without an upgrade", async () => {
        await assertCoded(await fetch(`${endpoint}?EIO=4&transport=websocket`), 400, 3, "Bad request");
      });

      test("refuses a session id that nobody was given", async () => {
        await assertCoded(await fetch(`${endpoint}?EIO=4&transport=polling&sid=abc`), 400, 1, "Session ID unknown");
      });
    });

    describe("handshake over WebSocket", () => {
      test("sends the open packet, with nothing to upgrade to", async () => {
        const frames = await Frames.open(endpoint);
        assertHandshake(frames.handshake, []);
        await frames.close();
      });

      for (const query of ["transport=websocket", "EIO=abc&transport=websocket", "EIO=4", "EIO=4&transport=abc"]) {
        test(`never opens a session: ${query}`, async () => {
          assert.equal((await refusedUpgrade(`${endpoint}?${query}`)).status, 400);
        });
      }

      test("refuses a session id that nobody was given", async () => {
        assert.equal((await refusedUpgrade(`${endpoint}?EIO=4&transport=websocket&sid=abc`)).status, 400);
      });
    });

    describe("heartbeat", () => {
      test("polling: a ping each interval after the pong, and nothing else", async () => {
        const session = await Polling.open(endpoint);
        for (let i = 0; i < 2; i += 1) {
          assert.deepEqual(await session.poll(), { status: 200, text: "2" });
          assert.deepEqual(await session.post("3"), { status: 200, text: "ok" });
        }
        await session.post("1");
      });

      test("polling: a session that does not pong is gone, not before 500 ms after the handshake", async () => {
        const since = performance.now();
        const session = await Polling.open(hasty[path]);
        await eventually(async () => (await session.post("6")).status === 400, { what: "the end of the session" });
        assert.ok(performance.now() - since >= 500, "gone too early");
        await assertUnknown(session);
      });

      test("WebSocket: a ping each interval after the pong", async () => {
        const frames = await Frames.open(endpoint);
        for (let i = 0; i < 2; i += 1) {
          assert.equal(await frames.next(), "2");
          frames.send("3");
        }
        await frames.close();
      });

      test("WebSocket: closed without a code and not before 500 ms when the pong does not come", async () => {
        const since = performance.now();
        const frames = await Frames.open(hasty[path]);
        assert.equal(await frames.next(), "2");
        assert.ok(performance.now() - since >= 300, "the first ping came too early");

        assert.equal(await frames.closed, 1005);
        assert.ok(performance.now() - since >= 500, "closed too early");
        assert.equal(await frames.next(), undefined, "a second ping came");
      });

      test("WebSocket: closed when the pong does not come, whatever else comes", async () => {
        const frames = await Frames.open(hasty[path]);
        const other = setInterval(() => frames.send("6"), 50);
        assert.equal(await frames.closed, 1005);
        clearInterval(other);
      });

      test("a ping from the client closes its session", async () => {
        const frames = await Frames.open(endpoint);
        frames.send("2");
        assert.equal(await frames.closed, 1005);
      });
    });

    describe("close", () => {
      test("polling: 1 ends the session and the held poll is answered 6", async () => {
        const session = await Polling.open(endpoint);
        const held = await heldPoll(session);
        assert.deepEqual(await session.post("1"), { status: 200, text: "ok" });
        await held.until(({ text }) => text.endsWith("\r\n\r\n6"), "a noop");
        held.destroy();
        await assertUnknown(session);
      });

      test("WebSocket: 1 is ignored; the connection ends with the ping timeout", async () => {
        const frames = await Frames.open(hasty[path]);
        frames.send("1");
        assert.equal(await frames.next(), "2");
        assert.equal(await frames.closed, 1005);
      });
    });

    describe("upgrade", () => {
      test("polling goes over to WebSocket; the held poll is answered 6", async () => {
        const session = await Polling.open(endpoint);
        const frames = await Frames.connect(session.url({ transport: "websocket" }));
        frames.send("2probe");
        assert.equal(await frames.next(), "3probe");
        assert.deepEqual(await session.poll(), { status: 200, text: "6" });
        frames.send("5");
        assert.equal(await frames.next(), "2");
        frames.send("3");
        assert.equal(await frames.next(), "2");
        await frames.close();
      });

      test("a poll that was held before the probe is released by it", async () => {
        const session = await Polling.open(endpoint);
        const held = session.poll();
        const frames = await Frames.connect(session.url({ transport: "websocket" }));
        frames.send("2probe");
        assert.equal(await frames.next(), "3probe");
        assert.deepEqual(await held, { status: 200, text: "6" });
        await frames.close();
      });

      test("HTTP requests with its sid are refused afterwards and do it no harm", async () => {
        const session = await Polling.open(endpoint);
        const frames = await upgrade(session);
        assert.equal(await frames.next(), "2");
        await assertCoded(await session.request("GET"), 400, 3, "Bad request");
        await assertCoded(await session.request("POST", { body: "3" }), 400, 3, "Bad request");
        frames.send("3");
        assert.equal(await frames.next(), "2");
        await frames.close();
      });

      test("a second WebSocket with its sid is accepted, then closed, and does it no harm", async () => {
        const session = await Polling.open(endpoint);
        const frames = await upgrade(session);
        assert.equal(await frames.next(), "2");
        frames.send("3");
        const second = await Frames.connect(session.url({ transport: "websocket" }));
        assert.equal(await second.closed, 1005);
        assert.equal(await frames.next(), "2");
        await frames.close();
      });

      test("a first frame that is no probe closes the WebSocket alone", async () => {
        const session = await Polling.open(endpoint);
        const frames = await Frames.connect(session.url({ transport: "websocket" }));
        frames.send("4too early");
        await frames.closed;
        assert.deepEqual(await session.poll(), { status: 200, text: "2" });
        await session.post("1");
      });
    });
  });
}

describe("messages over polling", () => {
  before(() => {
    endpoint = server.engine;
  });

  test("one text packet comes back", async () => {
    const session = await Polling.open(endpoint);
    assert.deepEqual(await session.post("4hello"), { status: 200, text: "ok" });
    assert.deepEqual(await session.poll(), { status: 200, text: "4hello" });
  });

  test("several packets of one payload come back in one payload, in order", async () => {
    const session = await Polling.open(endpoint);
    const payload = ["4a", "4", "4\u20ac and \u{1f600}"].join(SEPARATOR);
    await session.post(payload);
    assert.deepEqual(await session.poll(), { status: 200, text: payload });
  });

  test("binary travels as base64 beside text", async () => {
    const session = await Polling.open(endpoint);
    const payload = ["4hello", "bAQIDBA==", "b"].join(SEPARATOR);
    await session.post(payload);
    assert.deepEqual(await session.poll(), { status: 200, text: payload });
  });

  test("a held poll is answered by what comes", async () => {
    const session = await Polling.open(endpoint);
    const held = session.poll();
    await session.post("4hello");
    assert.deepEqual(await held, { status: 200, text: "4hello" });
  });

  for (const [name, body] of [
    ["an unknown packet type", "abc"],
    ["a digit beyond the types", "7"],
    ["no packet at all", ""],
    ["base64 that is none", "b####"],
    ["a ping, which is the server's to send", "2"],
  ]) {
    test(`a payload with ${name} ends the session`, async () => {
      const session = await Polling.open(endpoint);
      const { status } = await session.post(body);
      assert.ok([200, 400].includes(status), `status ${status}`);
      await assertUnknown(session);
    });
  }

  test("a body of another content type is refused and ends the session", async () => {
    const session = await Polling.open(endpoint);
    const answer = await session.post("4a", { "content-type": "application/octet-stream" });
    assert.deepEqual(answer, { status: 400, text: "" });
    await assertUnknown(session);
  });

  test("a second poll is refused, the first is answered 1, the session is gone", async () => {
    const session = await Polling.open(endpoint);
    const answers = await Promise.all([session.poll(), session.poll()]);
    answers.sort((left, right) => left.status - right.status);
    assert.deepEqual(answers, [
      { status: 200, text: "1" },
      { status: 400, text: "" },
    ]);
    await assertUnknown(session);
  });

  test("a poll that its client gives up ends the session", async () => {
    const session = await Polling.open(endpoint);
    (await heldPoll(session)).destroy();
    // Long before its heartbeat would end it.
    await eventually(async () => (await session.post("6")).status === 400, { within: 20_000, what: "the end of the session" });
  });

  test("another method with a sid answers 500 and leaves the session", async () => {
    const session = await Polling.open(endpoint);
    const response = await session.request("PUT", { body: "4x" });
    assert.equal(response.status, 500);
    assert.equal(await response.text(), "");
    await session.post("4hello");
    assert.equal((await session.poll()).text, "4hello");
  });

  test("a body of 1,000,000 bytes passes, one byte more is 413 and leaves the session", async () => {
    const session = await Polling.open(endpoint);
    assert.deepEqual(await session.post("4".repeat(1_000_001)), { status: 413, text: "" });
    assert.deepEqual(await session.post("4".repeat(1_000_000)), { status: 200, text: "ok" });
    assert.equal((await session.poll()).text.length, 1_000_000);
  });

  test("the revision is compared on every request of a session", async () => {
    const session = await Polling.open(endpoint);
    session.query.EIO = "3";
    await assertCoded(await session.request("GET"), 400, 3, "Bad request");
  });
});

describe("messages over WebSocket", () => {
  before(() => {
    endpoint = server.engine;
  });

  test("text and binary come back as they were", async () => {
    const frames = await Frames.open(endpoint);
    frames.send("4hello \u{1f600}");
    frames.send(Buffer.from([1, 2, 3, 4]));
    frames.send("4");
    assert.equal(await frames.nextMessage(), "4hello \u{1f600}");
    assert.deepEqual(await frames.nextMessage(), Buffer.from([1, 2, 3, 4]));
    assert.equal(await frames.nextMessage(), "4");
    await frames.close();
  });

  for (const [name, frame] of [
    ["an unknown packet type", "abc"],
    ["an empty text frame", ""],
    ["base64 text", "bAQID"],
  ]) {
    test(`${name} closes the connection without a code`, async () => {
      const frames = await Frames.open(endpoint);
      frames.send(frame);
      assert.equal(await frames.closed, 1005);
    });
  }

  test("open, upgrade and noop packets from a client are ignored", async () => {
    const frames = await Frames.open(endpoint);
    for (const frame of ["0", "5", "6", "4hello"]) frames.send(frame);
    assert.equal(await frames.nextMessage(), "4hello");
    await frames.close();
  });

  test("a message of 1,000,000 bytes passes, one byte more closes with 1009", async () => {
    const frames = await Frames.open(endpoint);
    frames.send("4".repeat(1_000_000));
    assert.equal((await frames.nextMessage()).length, 1_000_000);
    frames.send("4".repeat(1_000_001));
    assert.equal(await frames.closed, 1009);
  });

  test("a message in fragments is put together, and bounded as a whole", async () => {
    const frames = await Frames.open(endpoint);
    frames.socket.send("4hel", { fin: false });
    frames.socket.send("lo", { fin: true });
    assert.equal(await frames.nextMessage(), "4hello");
    for (let i = 0; i < 3; i += 1) frames.socket.send("4".repeat(400_000), { fin: false });
    assert.equal(await frames.closed, 1009);
  });

  test("b64=1 gets binary as base64 text", async () => {
    const frames = await Frames.open(endpoint, { query: { b64: "1" } });
    frames.send(Buffer.from([1, 2, 3, 4]));
    assert.equal(await frames.nextMessage(), "bAQIDBA==");
    await frames.close();
  });

  test("control frames of the WebSocket itself are answered", async () => {
    const frames = await Frames.open(endpoint);
    const pong = once(frames.socket, "pong");
    frames.socket.ping("data");
    assert.equal(String((await pong)[0]), "data");
    await frames.close();
  });
});

describe("messages across an upgrade", () => {
  before(() => {
    endpoint = server.engine;
  });

  test("what is sent right after 5 is echoed on the WebSocket", async () => {
    const session = await Polling.open(endpoint);
    const frames = await upgrade(session);
    frames.send("4hello");
    assert.equal(await frames.nextMessage(), "4hello");
    await frames.close();
  });

  test("posts are taken while it upgrades, and nothing is lost, doubled or out of order", async () => {
    const session = await Polling.open(endpoint);
    const frames = await Frames.connect(session.url({ transport: "websocket" }));
    frames.send("2probe");
    await session.post("41");
    assert.equal(await frames.next(), "3probe");
    await session.post("42");
    const polled = (await session.poll()).text.split(SEPARATOR).filter((packet) => packet !== "6");
    await session.post("43");
    frames.send("5");
    frames.send("44");
    const received = [...polled];
    while (received.length < 4) received.push(await frames.nextMessage());
    assert.deepEqual(received, ["41", "42", "43", "44"]);
    await frames.close();
  });

  test("a WebSocket that goes away before 5 leaves polling as it was", async () => {
    const session = await Polling.open(endpoint);
    const frames = await Frames.connect(session.url({ transport: "websocket" }));
    frames.send("2probe");
    assert.equal(await frames.next(), "3probe");
    await frames.close();
    await session.post("4hello");
    assert.deepEqual(await session.packets(), ["4hello"]);
    await session.post("1");
  });
});
