// Socket.IO v5, rule by rule, against the conformance server: `/` and `/custom`.

import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { io } from "socket.io-client";
import msgpack from "socket.io-msgpack-parser";
import { startConformanceServer } from "./conformance.js";
import { PATIENCE } from "./process.js";
import { Frames, Polling, within } from "./wire.js";

let server;
/** One whose clients have three seconds to join. */
let hasty;

before(async () => {
  [server, hasty] = await Promise.all([startConformanceServer(), startConformanceServer({ connectTimeout: 3_000 })]);
});
after(() => Promise.all([server?.stop(), hasty?.stop()]));

const open = (to = server) => Frames.open(to.socket);

/** Joined to the main namespace, its `auth` event read. */
async function joined(to) {
  const frames = await open(to);
  frames.send("40");
  await frames.nextMessage();
  await frames.nextMessage();
  return frames;
}

/** The payload of a CONNECT reply to `namespace`, which holds a sid and nothing else. */
function assertConnected(frame, namespace = "") {
  const prefix = `40${namespace}`;
  assert.ok(frame.startsWith(`${prefix}{`), frame);
  const payload = JSON.parse(frame.slice(prefix.length));
  assert.deepEqual(Object.keys(payload), ["sid"]);
  assert.equal(typeof payload.sid, "string");
  return payload.sid;
}

describe("CONNECT", () => {
  for (const [packet, prefix, event] of [
    ["40", "", '42["auth",{}]'],
    ['40{"token":"123"}', "", '42["auth",{"token":"123"}]'],
    ["40/custom,", "/custom,", '42/custom,["auth",{}]'],
    ["40/custom", "/custom,", '42/custom,["auth",{}]'],
    ['40/custom,{"token":"abc"}', "/custom,", '42/custom,["auth",{"token":"abc"}]'],
  ]) {
    test(`${packet} is answered with a sid, then the event`, async () => {
      const frames = await open();
      frames.send(packet);
      assertConnected(await frames.nextMessage(), prefix);
      assert.equal(await frames.nextMessage(), event);
      await frames.close();
    });
  }

  test("the socket's id is never the transport's secret sid, and differs by namespace", async () => {
    const frames = await open();
    frames.send("40");
    const main = assertConnected(await frames.nextMessage());
    await frames.nextMessage();
    frames.send("40/custom,");
    const custom = assertConnected(await frames.nextMessage(), "/custom,");
    assert.equal(new Set([main, custom, frames.handshake.sid]).size, 3);
    await frames.close();
  });

  for (const namespace of ["/random", "/custom/below"]) {
    test(`${namespace} is refused byte for byte, and the connection stays`, async () => {
      const frames = await open();
      frames.send(`40${namespace}`);
      assert.equal(await frames.nextMessage(), `44${namespace},{"message":"Invalid namespace"}`);
      frames.send("40");
      assertConnected(await frames.nextMessage());
      await frames.close();
    });
  }

  test("works over polling as over WebSocket", async () => {
    const session = await Polling.open(server.socket);
    await session.post("40");
    const packets = await session.packets();
    if (packets.length < 2) packets.push(...(await session.packets()));
    assertConnected(packets[0]);
    assert.equal(packets[1], '42["auth",{}]');
    await session.post("1");
  });

  for (const [name, first] of [
    ["text that is no packet", "4abc"],
    ["an event before CONNECT", '42["message"]'],
    ["an event of a namespace never joined", '42/custom,["message"]'],
    ["a CONNECT payload that is a string", '40"token"'],
    ["a CONNECT payload that is an array", "40[]"],
    ["CONNECT_ERROR, which is the server's to send", '44{"message":"no"}'],
  ]) {
    test(`${name} closes the connection`, async () => {
      const frames = await open();
      frames.send(first);
      assert.equal(await frames.closed, 1005);
    });
  }

  test("a second CONNECT of a joined namespace closes the connection", async () => {
    const frames = await joined();
    frames.send("40");
    assert.equal(await frames.closed, 1005);
  });

  test("a connection that joins nothing in time is closed, though it pongs", async () => {
    const since = performance.now();
    const frames = await open(hasty);
    assert.equal(await frames.nextMessage(), undefined);
    assert.ok(performance.now() - since >= 3_000, "closed too early");
  });

  test("a polling session that joins nothing in time is answered 1", async () => {
    const session = await Polling.open(hasty.socket);
    assert.deepEqual(await session.packets(), ["1"]);
  });

  test("a connection that has joined and left stays open beyond the connect timeout", async () => {
    const frames = await joined(hasty);
    frames.send("41");
    for (let i = 0; i < 2; i += 1) {
      assert.equal(await frames.next(), "2");
      frames.send("3");
    }
    frames.send("40");
    assertConnected(await frames.nextMessage());
    await frames.close();
  });
});

describe("DISCONNECT", () => {
  test("leaves the main namespace without a reply; the heartbeat goes on", async () => {
    const frames = await joined();
    frames.send("41");
    assert.equal(await frames.next(), "2");
    await frames.close();
  });

  for (const packet of ["41/custom", "41/custom,"]) {
    test(`${packet} leaves that namespace alone, which can be joined again`, async () => {
      const frames = await joined();
      frames.send("40/custom");
      await frames.nextMessage();
      await frames.nextMessage();
      frames.send(packet);
      frames.send('42["message","still here"]');
      assert.equal(await frames.nextMessage(), '42["message-back","still here"]');
      frames.send("40/custom");
      assertConnected(await frames.nextMessage(), "/custom,");
      await frames.close();
    });
  }

  test("an event after it closes the connection", async () => {
    const frames = await joined();
    frames.send("41");
    frames.send('42["message"]');
    assert.equal(await frames.closed, 1005);
  });
});

describe("EVENT and ACK", () => {
  test("arguments come back as they were", async () => {
    const frames = await joined();
    const event = '["message",1,-2.5,"3",null,true,{"a":{"b":["\u20ac","\\"",{}]}},[]]';
    frames.send(`42${event}`);
    assert.equal(await frames.nextMessage(), `42${event.replace("message", "message-back")}`);
    await frames.close();
  });

  test("an event without arguments", async () => {
    const frames = await joined();
    frames.send('42["message"]');
    assert.equal(await frames.nextMessage(), '42["message-back"]');
    await frames.close();
  });

  test("an ack carries the packet's id and the arguments", async () => {
    const frames = await joined();
    frames.send('42456["message-with-ack",1,"2",{"3":[false]}]');
    assert.equal(await frames.nextMessage(), '43456[1,"2",{"3":[false]}]');
    frames.send('420["message-with-ack"]');
    assert.equal(await frames.nextMessage(), "430[]");
    await frames.close();
  });

  test("attachments follow their packet in order, both ways", async () => {
    const frames = await joined();
    frames.send('452-["message",{"_placeholder":true,"num":0},{"deep":[{"_placeholder":true,"num":1}]}]');
    frames.send(Buffer.from([1, 2, 3]));
    frames.send(Buffer.from([4, 5, 6]));
    assert.equal(
      await frames.nextMessage(),
      '452-["message-back",{"_placeholder":true,"num":0},{"deep":[{"_placeholder":true,"num":1}]}]',
    );
    assert.deepEqual(await frames.nextMessage(), Buffer.from([1, 2, 3]));
    assert.deepEqual(await frames.nextMessage(), Buffer.from([4, 5, 6]));
    await frames.close();
  });

  test("attachments come back in an ack as a binary ack", async () => {
    const frames = await joined();
    frames.send('451-789["message-with-ack",{"_placeholder":true,"num":0},"x"]');
    frames.send(Buffer.from([7]));
    assert.equal(await frames.nextMessage(), '461-789[{"_placeholder":true,"num":0},"x"]');
    assert.deepEqual(await frames.nextMessage(), Buffer.from([7]));
    await frames.close();
  });

  test("ten attachments pass", async () => {
    const frames = await joined();
    const places = Array.from({ length: 10 }, (_, num) => ({ _placeholder: true, num }));
    frames.send(`4510-${JSON.stringify(["message", ...places])}`);
    for (let i = 0; i < 10; i += 1) frames.send(Buffer.from([i]));
    assert.equal(await frames.nextMessage(), `4510-${JSON.stringify(["message-back", ...places])}`);
    for (let i = 0; i < 10; i += 1) assert.deepEqual(await frames.nextMessage(), Buffer.from([i]));
    await frames.close();
  });

  test("an ack nobody waits for and an event nobody handles are ignored", async () => {
    const frames = await joined();
    frames.send("4399[1]");
    frames.send('42["nobody",1]');
    frames.send('42[7,"a number is a legal event name"]');
    frames.send('42["message"]');
    assert.equal(await frames.nextMessage(), '42["message-back"]');
    await frames.close();
  });

  const placeholder = '{"_placeholder":true,"num":0}';
  for (const [name, ...sent] of [
    ["an unknown packet type", "4abc"],
    ["a packet type beyond the last", "47"],
    ["a payload that is an object", "42{}"],
    ["an empty array", "42[]"],
    ["an ack id without digits", '42abc["message-with-ack",1]'],
    ["JSON cut short", '42["message"'],
    ["JSON with something after it", '42["message"]x'],
    ["an event name that is an object", "42[{}]"],
    ["an event name that is null", "42[null]"],
    ["a payload on DISCONNECT", '41{"a":1}'],
    ["an ack that is no array", "431{}"],
    ["eleven attachments", `4511-["message",${placeholder}]`],
    ["no attachments in a binary packet", '450-["message"]'],
    ["a binary packet without its count", `45["message",${placeholder}]`],
    ["a placeholder that points beyond the attachments", `451-["message",{"_placeholder":true,"num":1}]`, Buffer.from([1])],
    ["text while an attachment is awaited", `451-["message",${placeholder}]`, '42["message"]'],
    ["an attachment nobody awaits", Buffer.from([1])],
    ["the reserved name connect", '42["connect"]'],
    ["the reserved name connect_error", '42["connect_error"]'],
    ["the reserved name disconnect", '42["disconnect"]'],
    ["the reserved name disconnecting", '42["disconnecting"]'],
    ["the reserved name newListener", '42["newListener"]'],
    ["the reserved name removeListener", '42["removeListener"]'],
  ]) {
    test(`${name} closes the connection`, async () => {
      const frames = await joined();
      for (const frame of sent) frames.send(frame);
      assert.equal(await frames.closed, 1005);
    });
  }
});

describe("the official client", () => {
  for (const [name, parser] of [["default parser", undefined], ["msgpack parser", msgpack]]) {
    for (const transports of [["polling"], ["websocket"], ["polling", "websocket"]]) {
      test(`${transports.join(" then ")}, ${name}: events, acks, binary, both namespaces`, async () => {
        const url = new URL(server.socket).origin;
        const options = { transports, reconnection: false, forceNew: true, ...(parser && { parser }) };
        const socket = io(url, { ...options, auth: { token: "t" } });
        const event = (target, nameOfEvent) =>
          within(new Promise((resolve) => target.once(nameOfEvent, (...args) => resolve(args))), nameOfEvent);
        try {
          assert.deepEqual(await event(socket, "auth"), [{ token: "t" }]);
          const bytes = Buffer.from([1, 2, 3]);
          const back = event(socket, "message-back");
          socket.emit("message", "text", 1, { nested: [bytes] }, null);
          assert.deepEqual(await back, ["text", 1, { nested: [bytes] }, null]);
          assert.deepEqual(await socket.timeout(PATIENCE).emitWithAck("message-with-ack", bytes), bytes);
          const custom = socket.io.socket("/custom");
          assert.equal((await event(custom, "auth")).length, 1);
          const unknown = socket.io.socket("/random");
          const [error] = await event(unknown, "connect_error");
          assert.equal(error.message, "Invalid namespace");
          assert.ok(socket.connected);
        } finally {
          socket.disconnect();
          socket.io.engine.close();
        }
      });
    }
  }
});
