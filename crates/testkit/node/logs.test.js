// What a node logs, with everything that it can say switched on: never a message's text, a token, a sid or a query.

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { startNode } from "./carillon.js";
import { eventually } from "./process.js";
import { Frames, Polling } from "./wire.js";

/** What a node says of its start when it has begun to serve. */
const STARTED = [/\bready\b/, /starting service/, /^Carillon listens on .*\n/m];

/** A session with all that must not be told; answers it by name. */
async function converse(node) {
  const secrets = {
    text: "the text of this message is nobody's business",
    notification: "neither is that of this notification",
    query: "query-of-a-request",
    badToken: "eyJhbGciOiJIUzI1NiJ9.eyJ1c2VySWQiOiJtYWxsb3J5In0.bm90LWEtc2lnbmF0dXJl",
  };
  const token = (secrets.token = node.token("alice"));
  secrets.signature = token.split(".")[2];

  const alice = await node.connect("alice", { auth: { token }, query: { secret: secrets.query } });
  const bob = await node.connect("bob", { transports: ["polling"] });
  secrets.sid = bob.engine.id;
  await bob.join("alice_bob");
  alice.emit("typing", { chatboxId: "alice_bob", isTyping: true });
  await alice.send("bob", secrets.text);
  await bob.next("receiveMessage");
  await alice.send("bob", "").catch(() => {});
  await alice.ask("refreshToken", { token: secrets.badToken });

  secrets.pid = bob.socket._pid;
  await bob.drop();
  await alice.send("bob", secrets.text);
  await bob.reconnect();

  const path = `/api/chat/messages/alice_bob?secret=${secrets.query}`;
  await node.get(path, { token });
  await node.get(path, { token: secrets.badToken });
  await node.refusal({ token: secrets.badToken });
  await node.get(`/nowhere?secret=${secrets.query}`);
  const json = { toUser: "bob", fromUser: "alice", message: secrets.notification, chatboxId: "alice_bob", type: "chat" };
  await node.rest("POST", "/api/notifications/create", { token: node.token("ops", { role: "service" }), json });

  // What breaks the rules is logged, too.
  const polling = await Polling.open(node.endpoint, { query: { secret: secrets.query } });
  secrets.otherSid = polling.sid;
  await polling.post(`40{"token":"${secrets.badToken}`);
  const frames = await Frames.open(node.endpoint);
  secrets.thirdSid = frames.handshake.sid;
  frames.send(`42["${secrets.text}`);
  await frames.closed;
  await node.raw("GET", `/socket.io/?EIO=4&transport=polling&sid=${secrets.sid}x&secret=${secrets.query}`);
  return secrets;
}

for (const format of ["text", "json"]) {
  describe(`logs as ${format}`, () => {
    test("say at trace level what happens, and nothing that is a secret", async () => {
      const node = await startNode({ env: { CARILLON_LOG: "trace", CARILLON_LOG_FORMAT: format } });
      let secrets;
      try {
        secrets = await converse(node);
      } finally {
        await node.stop();
      }
      const { output } = node.process;
      assert.match(output, /handshake refused/);
      assert.match(output, /invalid packet/);
      for (const [name, secret] of Object.entries(secrets)) {
        assert.ok(secret, `${name} is known`);
        const at = output.indexOf(secret);
        assert.equal(at, -1, `${name} in …${output.slice(Math.max(0, at - 300), at + secret.length)}…`);
      }
      if (format === "json") {
        const lines = output.split("\n").filter((line) => line.startsWith("{"));
        assert.ok(lines.length > 5, output);
        for (const line of lines) {
          const { timestamp, level, message, target } = JSON.parse(line);
          assert.ok(timestamp && level && message && target, line);
        }
      }
    });

    test("say at info when a node starts and stops, and nothing for each client", async () => {
      const node = await startNode({ env: { CARILLON_LOG_FORMAT: format } });
      const lines = () => node.process.output.split("\n").length;
      // A node that is ready has more to say of its start, in no particular order.
      const hasSaid = () => STARTED.every((word) => word.test(node.process.output));
      await eventually(hasSaid, { what: "the end of what a node says of its start" });
      const before = lines();
      const [alice, bob] = await node.connectAll("alice", "bob");
      await bob.join("alice_bob");
      await alice.send("bob", "hello");
      await bob.next("receiveMessage");
      await node.refusal({ token: "bad" });
      alice.close();
      await bob.fence();
      assert.equal(lines(), before, node.process.output);
      await node.stop();
      assert.match(node.process.output, /drained/);
    });
  });
}
