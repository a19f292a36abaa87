// One node alone cut off from Redis: what is said there meanwhile reaches everybody else when it is back, and the other way round.

import assert from "node:assert/strict";
import { after, afterEach, before, describe, test } from "node:test";
import { Emitter } from "@socket.io/redis-emitter";
import { assertConsecutive, assertHas } from "../assertions.js";
import { chatOf, someone } from "../carillon.js";
import { startCluster } from "../cluster.js";
import { eventually } from "../process.js";
import { Traffic } from "./traffic.js";

let cluster;
let nodes;
let way;

before(async () => {
  cluster = await startCluster({ env: { CARILLON_LIMITS: "off" }, ways: true });
  nodes = cluster.nodes;
  [way] = cluster.waysToRedis;
});
after(() => cluster?.stop());
afterEach(async () => {
  await cluster.wayToDatabase.mend();
  await comeBack();
  await hasCaughtUp();
});

const isUp = (up, index = 0) =>
  eventually(async () => (await nodes[index].metric("carillon_backplane_up")) === (up ? 1 : 0), { what: `a link that is up: ${up}` });
const cutOff = async () => {
  await way.cut();
  await isUp(false);
};
const hasCaughtUp = () =>
  eventually(async () => (await nodes[0].metric("carillon_catching_up")) === 0, { what: "a node that has caught up" });
const comeBack = async () => {
  await way.mend();
  await isUp(true);
};

/** Two users, the first on the node that is cut off, the second on each node, all of them in their chat. */
async function chat() {
  const users = [someone("alice"), someone("bob")];
  const chatboxId = chatOf(...users);
  const [alice, ...bobs] = await cluster.connectTo([0, users[0]], [0, users[1]], [1, users[1]], [2, users[1]]);
  await Promise.all([alice, ...bobs].map((client) => client.join(chatboxId)));
  await alice.send(users[1], "before it");
  for (const bob of bobs) await bob.next("notification");
  return { users, chatboxId, alice, bobs, all: [alice, ...bobs] };
}

const textsOf = (client, event = "receiveMessage") => client.all(event).map(({ message }) => message);

/** Each of these clients gets exactly these messages, in order, `seq` without a hole, and waits for no further one to come. */
async function assertGiven(clients, texts) {
  for (const client of clients) {
    await eventually(() => textsOf(client).length >= texts.length, { what: `${texts.length} messages, not ${textsOf(client)}` });
    await client.fence();
    assert.deepEqual(textsOf(client), texts);
    assertConsecutive(client.all("receiveMessage").map(({ seq }) => seq));
  }
}

describe("messages", () => {
  test("of the node that was cut off reach the others by themselves, once and in order", async () => {
    const { users, alice, bobs, all } = await chat();
    await cutOff();
    for (let i = 0; i < 5; i += 1) assertHas(await alice.send(users[1], `meanwhile ${i}`), { seq: i + 2 });
    const texts = ["before it", ...Array.from({ length: 5 }, (_, i) => `meanwhile ${i}`)];
    await eventually(() => textsOf(bobs[0]).length === texts.length, { what: "local delivery" });
    assert.equal(textsOf(bobs[1]).length, 1);
    await eventually(async () => (await nodes[0].metric("carillon_backlog")) === 1, { what: "a chat that waits" });

    await comeBack();
    await assertGiven(all, texts);
    for (const bob of bobs) assert.deepEqual(textsOf(bob, "notification"), texts);
    await eventually(async () => (await nodes[0].metric("carillon_backlog")) === 0, { what: "no chat that waits" });
    assert.equal(await nodes[0].metric("carillon_backlog_dropped_total"), 0);

    await bobs[2].send(users[0], "after it");
    await assertGiven(all, [...texts, "after it"]);
  });

  test("that were given on that node alone are not given again to who is recovered", async () => {
    const { users, alice, bobs } = await chat();
    const [near] = bobs;
    await cutOff();
    await alice.send(users[1], "meanwhile");
    await way.mend();
    await isUp(true);
    // An event with a place in the log, before the message has its own or after it.
    const newcomer = someone();
    await nodes[1].connect(newcomer);
    await near.next("userStatusChange", { match: ({ userId }) => userId === newcomer });
    await assertGiven(bobs.slice(1), ["before it", "meanwhile"]);
    await near.drop();
    if (!(await near.reconnect())) await near.join(chatOf(...users));
    await alice.send(users[1], "after it");
    await assertGiven([near], ["before it", "meanwhile", "after it"]);
  });

  test("of all nodes, one after the other", async () => {
    const { users, alice, bobs, all } = await chat();
    await cutOff();
    const texts = ["before it"];
    for (let i = 0; i < 4; i += 1) {
      await alice.send(users[1], `cut off ${i}`);
      await bobs[1 + (i % 2)].send(users[0], `in reach ${i}`);
      texts.push(`cut off ${i}`, `in reach ${i}`);
    }
    await alice.send(users[1], "last");
    await comeBack();
    await assertGiven(all, [...texts, "last"]);
  });

  test("of a chat that began there", async () => {
    const users = [someone("alice"), someone("bob")];
    const [alice, bob] = await cluster.connectTo([0, users[0]], [1, users[1]]);
    await bob.join(chatOf(...users));
    await cutOff();
    for (const text of ["one", "two"]) await alice.send(users[1], text);
    await comeBack();
    await assertGiven([bob], ["one", "two"]);
  });

  test("that were resent under their clientMessageId, on any node", async () => {
    const { users, alice, bobs } = await chat();
    const elsewhere = await nodes[2].connect(users[0]);
    await cutOff();
    const first = await alice.send(users[1], "meanwhile", { clientMessageId: "k" });
    assertHas(await alice.send(users[1], "meanwhile", { clientMessageId: "k" }), { messageId: first.messageId, seq: 2 });
    // The others' sockets have it from here.
    assertHas(await elsewhere.send(users[1], "meanwhile", { clientMessageId: "k" }), { messageId: first.messageId, seq: 2 });
    await assertGiven(bobs.slice(1), ["before it", "meanwhile"]);
    await comeBack();
    await alice.send(users[1], "after it");
    await assertGiven([alice, ...bobs], ["before it", "meanwhile", "after it"]);
  });

  test("under traffic on every node: none lost, doubled or out of order", async () => {
    const traffic = await Traffic.start([
      [nodes[0], nodes[1]],
      [nodes[1], nodes[2]],
      [nodes[2], nodes[0]],
      [nodes[0], nodes[0]],
    ]);
    for (const further of [5, 40]) {
      await traffic.more(30);
      await way.cut();
      await traffic.more(further);
      await way.mend();
      await isUp(true);
    }
    await traffic.more(30);
    await traffic.assertWhole(nodes[1]);
  });
});

describe("a session", () => {
  test("that was given something on the node that was cut off begins anew elsewhere, and is given nothing twice", async () => {
    const { users, chatboxId, alice, bobs } = await chat();
    const [near] = bobs;
    await cutOff();
    await alice.send(users[1], "meanwhile");
    await eventually(() => textsOf(near).length === 2, { what: "local delivery" });
    await near.drop();
    near.moveTo(nodes[1]);
    assert.equal(await near.reconnect(), false);
    near.forget();
    await near.join(chatboxId);
    await comeBack();
    await alice.send(users[1], "after it");
    await eventually(() => textsOf(near).includes("after it"), { what: "a message after it" });
    await near.fence();
    assert.deepEqual(textsOf(near), ["meanwhile", "after it"]);
  });

  test("that was given nothing there since is recovered elsewhere, and is given the rest when the node is back", async () => {
    const { users, alice, bobs } = await chat();
    const [near, far] = bobs;
    await cutOff();
    await near.drop();
    await alice.send(users[1], "meanwhile");
    near.moveTo(nodes[1]);
    assert.equal(await near.reconnect(), true);
    await comeBack();
    await assertGiven([near, far], ["before it", "meanwhile"]);
  });
});

describe("a database that is away when the node is back", () => {
  test("leaves nobody with an offset past what is still to be read; what was missed comes when it can be", async () => {
    const { users, alice, bobs } = await chat();
    const [near, far, farther] = bobs;
    await cutOff();
    await far.send(users[0], "missed");
    await cluster.wayToDatabase.cut();
    await comeBack();
    // Something that nobody has to read comes to the node that is still to read.
    const newcomer = someone();
    await nodes[1].connect(newcomer);
    await near.next("userStatusChange", { match: ({ userId }) => userId === newcomer });
    await near.drop();
    near.moveTo(nodes[1]);
    assert.equal(await near.reconnect(), false, "it lacks a message");
    await farther.drop();
    farther.moveTo(nodes[0]);
    assert.equal(await farther.reconnect(), false, "it would be given a message twice");
    assert.deepEqual(textsOf(alice), ["before it"]);
    assert.equal(await nodes[0].metric("carillon_catching_up"), 1);

    await cluster.wayToDatabase.mend();
    await assertGiven([alice, far], ["before it", "missed"]);
    await eventually(async () => (await alice.send(users[1], "after it")).seq === 3, { what: "a database that is back" });
    await assertGiven([alice, far], ["before it", "missed", "after it"]);
    // Nothing is missing any more, and whoever comes to that node now is recovered there.
    await hasCaughtUp();
    await far.send(users[0], "with an offset");
    await assertGiven([alice], ["before it", "missed", "after it", "with an offset"]);
    await alice.drop();
    await far.send(users[0], "once more");
    assert.equal(await alice.reconnect(), true);
    await assertGiven([alice, far], ["before it", "missed", "after it", "with an offset", "once more"]);
  });
});

describe("notifications over REST", () => {
  test("of the node that was cut off reach the others' sockets by themselves, once", async () => {
    const { users, alice, bobs } = await chat();
    const create = (node, message) =>
      node.rest("POST", "/api/notifications/create", { as: users[0], json: { toUser: users[1], fromUser: users[0], message } });
    await cutOff();
    for (const text of ["one", "two"]) assert.equal((await create(nodes[0], text)).status, 201);
    assert.equal((await create(nodes[1], "elsewhere")).status, 201);
    await comeBack();
    await alice.send(users[1], "end");
    for (const bob of bobs) {
      const texts = ["before it", "one", "two", "elsewhere", "end"];
      await eventually(() => bob.all("notification").length >= texts.length, { what: `notifications, not ${textsOf(bob, "notification")}` });
      await bob.fence();
      assert.deepEqual(textsOf(bob, "notification").sort(), texts.sort());
    }
  });
});

describe("a Node server", () => {
  test("that says receiveMessage with a number of its own hides no message", async () => {
    const { users, chatboxId, alice, bobs, all } = await chat();
    new Emitter(cluster.commands).to(`chat_${chatboxId}`).emit("receiveMessage", { chatboxId, message: "forged", seq: 1_000_000_000 });
    for (const bob of bobs) await bob.next("receiveMessage", { match: ({ message }) => message === "forged" });
    for (const text of ["one", "two"]) await alice.send(users[1], text);
    for (const client of all) {
      await eventually(() => textsOf(client).length >= 4, { what: "all messages" });
      await client.fence();
      assert.deepEqual(textsOf(client), ["before it", "forged", "one", "two"]);
    }
  });
});
