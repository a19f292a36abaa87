// The console's own Socket.IO client, outside of a browser, against the built node.

import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { WebSocket } from "ws";
import { Wire } from "../../gateway/console/wire.js";
import { chatOf, someone, startNode } from "./carillon.js";
import { eventually } from "./process.js";
import { CuttableWay } from "./servers.js";

let node, way;
const wires = [];

before(async () => {
  node = await startNode();
  way = await CuttableWay.to({ host: "127.0.0.1", port: node.port });
});
after(async () => {
  for (const wire of wires) wire.disconnect();
  await way?.cut();
  await node?.stop();
});

/** A WebSocket that does not get through, as behind many a proxy. */
class NoSocket {
  constructor() {
    setTimeout(() => this.onclose?.(), 0);
  }
  close() {}
}

/** A wire with what it tells. */
function wireOf(user, { port = node.port, token = node.token(user), ...options } = {}) {
  const events = [];
  const phases = [];
  const wire = new Wire({
    url: `http://127.0.0.1:${port}/socket.io/`,
    auth: () => ({ token }),
    probe: () => ["joinChat", { chatboxId: chatOf(user, user) }],
    onEvent: (name, payload) => events.push({ name, payload }),
    onStatus: ({ phase }) => phases.at(-1) !== phase && phases.push(phase),
    fetch: (url, options) => fetch(url, options),
    WebSocket,
    // The shortest wait before the next try.
    random: () => 0,
    ...options,
  });
  wires.push(wire);
  wire.connect();
  return { wire, events, phases, is: (what) => eventually(() => what(wire.status), { what: String(what) }) };
}

const texts = (events) => events.filter(({ name }) => name === "receiveMessage").map(({ payload }) => payload.message);
const message = (receiverId, text, more = {}) => ({ receiverId, message: text, senderName: "S", receiverName: "R", ...more });

for (const [name, options] of [["WebSocket", { WebSocket }], ["long-polling alone", { WebSocket: NoSocket }]]) {
  describe(`over ${name}`, () => {
    test("events and acknowledgements come in order, in bulk as well", async () => {
      const [ann, ben] = [someone("ann"), someone("ben")];
      const [one, two] = [wireOf(ann, options), wireOf(ben, options)];
      for (const { is } of [one, two]) {
        await is(({ phase, latencyMs }) => phase === "connected" && latencyMs !== undefined);
        if (options.WebSocket === WebSocket) await is(({ transport }) => transport === "websocket");
      }
      await two.wire.emit("joinChat", { chatboxId: chatOf(ann, ben) });
      const sent = Array.from({ length: 150 }, (_, index) => `${index} \u{1f514} ${"x".repeat(index + 1)}`);
      const answers = await Promise.all(sent.map((text) => one.wire.emit("sendMessage", message(ben, text))));
      assert.deepEqual(answers.map(({ seq }) => seq), sent.map((_, index) => index + 1));
      await eventually(() => texts(two.events).length === sent.length, { what: "all messages" });
      assert.deepEqual(texts(two.events), sent);
      assert.equal(one.wire.status.transport, options.WebSocket === WebSocket ? "websocket" : "polling");
    });

    test("what is missed comes once with a recovered connection", async () => {
      const [ann, ben] = [someone("ann"), someone("ben")];
      const sender = await node.connect(ann);
      const { wire, events, is, phases } = wireOf(ben, { ...options, port: way.port });
      await is(({ phase }) => phase === "connected");
      await wire.emit("joinChat", { chatboxId: chatOf(ann, ben) });
      await sender.send(ben, "before");
      await eventually(() => texts(events).length === 1, { what: "the first message" });

      await way.cut();
      await is(({ phase }) => phase === "waiting");
      await assert.rejects(wire.emit("getOnlineUsers"), { code: "offline" });
      for (const text of ["missed 1", "missed 2"]) await sender.send(ben, text);
      await way.mend();
      await is(({ phase, recovered }) => phase === "connected" && recovered);
      await sender.send(ben, "after");
      await eventually(() => texts(events).includes("after"), { what: "the last message" });
      assert.deepEqual(texts(events), ["before", "missed 1", "missed 2", "after"]);
      assert.deepEqual(phases.slice(0, 3), ["connecting", "connected", "waiting"]);
    });
  });
}

test("an event under way when the connection is lost fails as offline", async () => {
  const { wire, is } = wireOf(someone(), { port: way.port });
  await is(({ transport }) => transport === "websocket");
  const asked = wire.emit("getOnlineUsers");
  const refused = assert.rejects(asked, { code: "offline" });
  await Promise.all([refused, way.cut()]);
  await way.mend();
  await is(({ phase }) => phase === "connected");
});

test("a refusal of the node has its code, one of the handshake ends the wire", async () => {
  const user = someone();
  const { wire, is } = wireOf(user);
  await is(({ phase }) => phase === "connected");
  await assert.rejects(wire.emit("joinChat", { chatboxId: "somebody_else" }), { code: "forbidden" });

  const refused = wireOf(someone(), { token: "no token" });
  await refused.is(({ phase, reason }) => phase === "refused" && reason === "Authentication failed");
  assert.deepEqual(refused.phases, ["connecting", "refused"]);
});

test("who disconnects is gone at once, and has nothing to recover", async () => {
  const [ann, ben] = [someone("ann"), someone("ben")];
  const other = await node.connect(ann);
  for (const WebSocketOrNone of [WebSocket, NoSocket]) {
    const { wire, is } = wireOf(ben, { WebSocket: WebSocketOrNone });
    await is(({ phase, latencyMs }) => phase === "connected" && latencyMs !== undefined);
    await other.next("userStatusChange", { match: ({ userId, status }) => userId === ben && status === "online" });
    wire.disconnect();
    await other.next("userStatusChange", { match: ({ userId, status }) => userId === ben && status === "offline" });
    wire.connect();
    await is(({ phase, recovered }) => phase === "connected" && recovered === false);
    wire.disconnect();
    await other.next("userStatusChange", { match: ({ userId, status }) => userId === ben && status === "offline" });
  }
});
