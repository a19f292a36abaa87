// The database away: what needs it is refused and worth a retry, what does not goes on; nothing is confirmed and lost.

import assert from "node:assert/strict";
import { after, afterEach, before, describe, test } from "node:test";
import { assertHas, assertProblem } from "../assertions.js";
import { chatOf, someone } from "../carillon.js";
import { startCluster } from "../cluster.js";
import { eventually, PATIENCE } from "../process.js";
import { Traffic } from "./traffic.js";

let cluster;
let nodes;
const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

before(async () => {
  cluster = await startCluster({ env: { CARILLON_LIMITS: "off" } });
  nodes = cluster.nodes;
});
after(() => cluster?.stop());
afterEach(() => cluster.wayToDatabase.mend());

test("sends are refused and worth a retry, never confirmed; typing and presence go on; a resend is one message", async () => {
  const users = [someone("alice"), someone("bob")];
  const chatboxId = chatOf(...users);
  const [alice, bob] = await cluster.connectTo([0, users[0]], [1, users[1]]);
  await Promise.all([alice.join(chatboxId), bob.join(chatboxId)]);
  await alice.send(users[1], "before it");
  await bob.next("receiveMessage");

  await cluster.wayToDatabase.cut();
  const ids = Array.from({ length: 5 }, (_, i) => `c${i}`);
  const message = { receiverId: users[1], senderName: "A", receiverName: "B" };
  const ask = (clientMessageId) => alice.socket.timeout(PATIENCE).emitWithAck("sendMessage", { ...message, message: clientMessageId, clientMessageId });
  const refused = Promise.all(ids.map(ask));
  bob.emit("typing", { chatboxId, isTyping: true });
  assertHas(await alice.next("userTyping"), { isTyping: true });
  for (const { error } of await refused) {
    assertHas(error, { code: "unavailable", message: "Failed to send message", retryAfterMs: (value) => value > 0 });
  }
  const as = users[0];
  const page = await nodes[1].get(`/api/chat/messages/${chatboxId}`, { as });
  assertProblem(page, 503, "unavailable");
  assert.ok(Number(page.headers.get("retry-after")) >= 1);
  const newcomer = someone();
  await nodes[2].connect(newcomer);
  await bob.next("userStatusChange", { match: ({ userId }) => userId === newcomer });
  assert.equal((await alice.ask("getOnlineUsers")).filter(({ userId }) => userId === newcomer).length, 1);
  for (const node of nodes) {
    for (const path of ["/livez", "/readyz"]) assert.equal((await node.get(path)).status, 200, path);
  }
  assert.equal((await nodes[0].get("/readyz?verbose")).body.store, "down");
  assert.deepEqual([alice.all("messageSent").length, bob.all("receiveMessage").length], [1, 1]);

  await cluster.wayToDatabase.mend();
  await eventually(async () => (await nodes[0].get(`/api/chat/messages/${chatboxId}`, { as })).status === 200);
  await eventually(async () => (await nodes[0].get("/readyz?verbose")).body.store === "up", { what: "a store that is up" });
  for (const [index, id] of ids.entries()) assertHas(await ask(id), { seq: index + 2 });
  await eventually(() => bob.all("receiveMessage").length === 6);
  await bob.fence();
  assert.deepEqual(bob.all("receiveMessage").map((received) => received.message), ["before it", ...ids]);
});

describe("under traffic", () => {
  test("its connections are cut again and again: none lost, doubled or out of order", async () => {
    const traffic = await Traffic.start([
      [nodes[0], nodes[1]],
      [nodes[1], nodes[2]],
      [nodes[2], nodes[0]],
      [cluster, cluster],
    ]);
    for (const ms of [0, 50, 300, 1_500]) {
      await traffic.more(30);
      await cluster.wayToDatabase.cut();
      await pause(ms);
      await cluster.wayToDatabase.mend();
    }
    await traffic.more(30);
    await traffic.assertWhole(cluster);
  });
});

test("restored to an earlier state while Redis goes on: what is new reaches everybody from the first message on", async () => {
  const users = [someone("alice"), someone("bob")];
  const chatboxId = chatOf(...users);
  const meet = async () => {
    const clients = await cluster.connectTo([0, users[0]], [1, users[1]]);
    await Promise.all(clients.map((client) => client.join(chatboxId)));
    return clients;
  };
  const [writer] = await meet();
  for (let i = 1; i <= 4; i += 1) assertHas(await writer.send(users[1], `gone ${i}`), { seq: i });
  const published = async () => {
    const keys = await cluster.commands.keys(`*:order:*${users[1]}*`);
    return cluster.commands.get(keys[0]);
  };
  assert.equal(await published(), "4");
  for (const node of nodes) node.process.signal("SIGKILL");
  await cluster.database.drop();
  await Promise.all(nodes.map((_, index) => cluster.restart(index)));
  assert.equal(await published(), "4", "Redis goes on");

  const [alice, bob] = await meet();
  for (let i = 1; i <= 3; i += 1) {
    assertHas(await alice.send(users[1], `new ${i}`), { seq: 2 * i - 1 });
    assertHas(await bob.send(users[0], `answer ${i}`), { seq: 2 * i });
  }
  for (const client of [alice, bob]) {
    await client.fence();
    assert.deepEqual(client.all("receiveMessage").map(({ seq }) => seq), [1, 2, 3, 4, 5, 6]);
  }
  assert.equal(await published(), "6");
});
