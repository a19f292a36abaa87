// Connection state recovery on another node, after a lost connection, a drain or a SIGKILL of the old node.

import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { assertHas } from "../assertions.js";
import { chatOf, someone, startNode } from "../carillon.js";
import { COMBINATIONS } from "../client.js";
import { startCluster } from "../cluster.js";
import { eventually } from "../process.js";
import { CuttableWay } from "../servers.js";
import { Frames, within } from "../wire.js";

let cluster;
let nodes;

before(async () => {
  cluster = await startCluster();
  nodes = cluster.nodes;
});
after(() => cluster?.stop());

const KEPT = ["receiveMessage", "messageRead", "notification"];

/** Alice on one node, who will be cut off, and Bob on another, both in their room. */
async function pair(from, of, options) {
  const users = [someone("alice"), someone("bob")];
  const chatboxId = chatOf(...users);
  const [alice, bob] = await cluster.connectTo([from, users[0], options], [of, users[1]]);
  if (options?.transports?.length === 2) await alice.upgraded();
  await Promise.all([alice.join(chatboxId), bob.join(chatboxId)]);
  return { alice, bob, users, chatboxId };
}

/** Alice loses her connection and her node has noticed: from one that lives nothing is taken that it took over a moment ago. */
async function lose({ alice, bob, users }) {
  await alice.drop();
  await bob.next("userStatusChange", { match: ({ userId, status }) => userId === users[0] && status === "offline" });
}

/** What Bob does while Alice is away. `before_` is a message that she sent. */
async function happen({ bob, users, chatboxId }, before_) {
  await bob.send(users[0], "missed 1");
  await bob.ask("markMessageRead", { messageId: before_.messageId, chatboxId });
  await bob.ask("typing", { chatboxId, isTyping: true });
  await bob.send(users[0], "missed 2");
  const json = { toUser: users[0], fromUser: users[1], message: "over REST" };
  assert.equal((await nodes[2].rest("POST", "/api/notifications/create", { as: users[1], json })).status, 201);
  const newcomer = someone("carol");
  await nodes[2].connect(newcomer);
  return newcomer;
}

/** All of it came to Alice once and in order, and what comes now follows. */
async function assertNothingMissed({ alice, bob, users }, before_, newcomer, seq) {
  await alice.next("userStatusChange", { match: ({ userId }) => userId === newcomer });
  await bob.send(users[0], "after it");
  await alice.next("receiveMessage", { match: ({ message }) => message === "after it" });
  await alice.fence();
  assert.deepEqual(alice.order.filter((event) => KEPT.includes(event)), [
    "receiveMessage",
    "notification",
    "messageRead",
    "receiveMessage",
    "notification",
    "notification",
    "receiveMessage",
    "notification",
  ]);
  assert.deepEqual(alice.all("receiveMessage").map((message) => message.seq), [seq, seq + 1, seq + 2]);
  const texts = ["missed 1", "missed 2", "over REST", "after it"];
  assert.deepEqual(alice.all("notification").map(({ message }) => message), texts);
  assertHas(alice.all("messageRead")[0], { messageId: before_.messageId });
  assert.deepEqual(alice.all("userTyping"), []);
  const changes = alice.all("userStatusChange").filter(({ userId }) => userId === newcomer);
  assert.deepEqual(changes.map(({ status }) => status), ["online"]);
}

describe("on another node", () => {
  for (const { name, ...options } of COMBINATIONS) {
    test(`after a lost connection, over ${name}`, async () => {
      const both = await pair(0, 1, options);
      const { alice, users } = both;
      const id = alice.id;
      const before_ = await alice.send(users[1], "before the fault");
      await alice.next("receiveMessage");
      await alice.drop();
      alice.forget();
      const newcomer = await happen(both, before_);
      alice.moveTo(nodes[2]);
      assert.equal(await alice.reconnect(), true);
      assert.equal(alice.id, id);
      await assertNothingMissed(both, before_, newcomer, 2);
    });
  }

  test("again and again, from node to node", async () => {
    const both = await pair(0, 1);
    const { alice, bob, users } = both;
    for (let i = 1; i <= 9; i += 1) {
      await lose(both);
      await bob.send(users[0], `round ${i}`);
      alice.moveTo(nodes[i % 3]);
      assert.equal(await alice.reconnect(), true, `round ${i}`);
      if (i % 2) await bob.send(users[0], `live in round ${i}`);
    }
    await alice.fence();
    const seqs = alice.all("receiveMessage").map(({ seq }) => seq);
    assert.deepEqual(seqs, Array.from({ length: 14 }, (_, i) => i + 1));
  });

  test("also where the old node, which has just resumed it, reads of the end of its connection late", async () => {
    const { alice, bob, users } = await pair(0, 1);
    for (let i = 1; i <= 8; i += 1) {
      const { process } = nodes[(i + 2) % 3];
      // It finds the end of the connection and the question of the next node side by side.
      process.signal("SIGSTOP");
      await alice.drop();
      alice.moveTo(nodes[i % 3]);
      const reconnecting = alice.reconnect();
      setTimeout(() => process.signal("SIGCONT"), 100);
      assert.equal(await reconnecting, true, `round ${i}`);
    }
    await bob.send(users[0], "once");
    await alice.next("receiveMessage");
    await alice.fence();
    assert.deepEqual(alice.all("receiveMessage").map(({ message }) => message), ["once"]);
  });

  test("while messages keep coming: none lost, doubled or out of order", async () => {
    const both = await pair(0, 1);
    const { alice, bob, users } = both;
    let running = true;
    const sending = (async () => {
      let sent = 0;
      while (running) {
        assertHas(await bob.send(users[0], `${sent}`), { seq: (sent += 1) });
        await new Promise((resolve) => setTimeout(resolve, 60));
      }
      return sent;
    })();
    for (let i = 1; i <= 15; i += 1) {
      await alice.next("receiveMessage");
      await lose(both);
      alice.moveTo(nodes[i % 3]);
      assert.equal(await alice.reconnect(), true, `round ${i}`);
    }
    running = false;
    const sent = await sending;
    await alice.fence();
    const seqs = alice.all("receiveMessage").map(({ seq }) => seq);
    assert.deepEqual(seqs, Array.from({ length: sent }, (_, i) => i + 1));
    assert.equal(alice.all("notification").length, sent);
  });

  test("not after the client's own disconnect(), nor with another user's pid", async () => {
    const { alice, bob, users } = await pair(0, 1);
    const eve = nodes[2].client(someone("eve"));
    eve.socket._pid = alice.socket._pid;
    eve.socket._lastOffset = alice.socket._lastOffset;
    assert.equal(await eve.reconnect(), false);
    assert.notEqual(eve.id, alice.id);
    const id = alice.id;
    alice.socket.disconnect();
    // Her node has heard of it.
    await bob.next("userStatusChange", { match: ({ userId, status }) => userId === users[0] && status === "offline" });
    await bob.send(users[0], "missed for good");
    alice.forget();
    alice.moveTo(nodes[2]);
    assert.equal(await alice.reconnect(), false);
    assert.notEqual(alice.id, id);
    await alice.fence();
    assert.deepEqual([...alice.all("receiveMessage"), ...eve.all("notification")], []);
  });
});

describe("rivals with one pid", () => {
  const connectRaw = async (node, auth) => {
    const frames = await Frames.open(node.endpoint);
    frames.send(`40${JSON.stringify(auth)}`);
    const read = await frames.until((frame) => frame === undefined || frame.startsWith("40"));
    return { frames, reply: JSON.parse(read.at(-1).slice(2)) };
  };

  test("on every node at once: one is recovered and goes on, the others are new or closed", async () => {
    for (let round = 0; round < 10; round += 1) {
      const user = someone();
      const token = cluster.token(user);
      const first = await connectRaw(nodes[0], { token });
      first.frames.send(`42${JSON.stringify(["joinChat", { chatboxId: chatOf(user, "zoe") }])}`);
      const joined = (await first.frames.until((frame) => frame.startsWith('42["chatJoined"'))).at(-1);
      const offset = JSON.parse(joined.slice(2))[2];
      // Every other time the old connection still looks alive.
      if (round % 2) first.frames.terminate();
      const rivals = await Promise.all(
        [...nodes, ...nodes].map((node) => connectRaw(node, { token, pid: first.reply.pid, offset })),
      );
      const same = rivals.filter(({ reply }) => reply.sid === first.reply.sid);
      assert.equal(same.length, 1, `round ${round}`);
      same[0].frames.send('420["getOnlineUsers"]');
      const read = await same[0].frames.until((frame) => frame === undefined || frame.startsWith("430"));
      assert.notEqual(read.at(-1), undefined, "the recovered one was closed");
      await within(first.frames.closed, "the end of the old connection");
      for (const { frames } of rivals) frames.terminate();
    }
  });
});

describe("after the end of the old node", () => {
  for (const [signal, name] of [
    ["SIGKILL", "a SIGKILL"],
    ["SIGTERM", "a drain"],
  ]) {
    test(`by ${name}: recovered, nothing missed`, async () => {
      const boths = [];
      for (const { name: _, ...options } of COMBINATIONS) boths.push(await pair(0, 1, options));
      const ids = boths.map(({ alice }) => alice.id);
      const befores = [];
      for (const { alice, users } of boths) {
        befores.push(await alice.send(users[1], "before the fault"));
        await alice.next("receiveMessage");
      }
      nodes[0].process.signal(signal);
      for (const { alice } of boths) await alice.next("disconnect");
      for (const { alice } of boths) alice.forget();
      const newcomers = [];
      for (const [index, both] of boths.entries()) newcomers.push(await happen(both, befores[index]));
      for (const [index, both] of boths.entries()) {
        both.alice.moveTo(nodes[2]);
        assert.equal(await both.alice.reconnect(), true, COMBINATIONS[index].name);
        assert.equal(both.alice.id, ids[index]);
        await assertNothingMissed(both, befores[index], newcomers[index], 2);
      }
      await cluster.restart(0);
    });
  }

  test("also a moment after the chat was joined, and what was left stays left", async () => {
    const { alice, bob, users, chatboxId } = await pair(0, 1);
    const elsewhere = someone("dave");
    const dave = await nodes[1].connect(elsewhere);
    await alice.ask("leaveChat", { chatboxId });
    await alice.join(chatOf(users[0], elsewhere));
    nodes[0].process.signal("SIGKILL");
    await alice.next("disconnect");
    alice.forget();
    await bob.send(users[0], "in the chat that was left");
    await dave.send(users[0], "in the chat that was joined");
    alice.moveTo(nodes[1]);
    assert.equal(await alice.reconnect(), true);
    await alice.fence();
    assert.deepEqual(alice.all("receiveMessage").map(({ message }) => message), ["in the chat that was joined"]);
    assert.equal(alice.all("notification").length, 2);
    await cluster.restart(0);
  });
});

describe("from a node that alone was cut off from Redis", () => {
  /** Such a node, and Alice on it in a chat that she joined meanwhile; Bob is on another node. */
  async function cutOff(run) {
    const way = await CuttableWay.to({ host: "127.0.0.1", port: cluster.redis.port });
    const env = { REDIS_URL: `redis://127.0.0.1:${way.port}`, MONGODB_URI: cluster.database.through(cluster.wayToDatabase) };
    const node = await startNode({ env });
    const isUp = (up) => eventually(async () => (await node.metric("carillon_backplane_up")) === up, { what: `a link that is ${up}` });
    const users = [someone("alice"), someone("bob")];
    const alice = await node.connect(users[0]);
    const bob = await nodes[1].connect(users[1]);
    try {
      await way.cut();
      await isUp(0);
      await alice.join(chatOf(...users));
      const heal = async () => {
        await way.mend();
        await isUp(1);
        // Until it is sure that nothing is missing, nobody gets a place to be recovered from.
        await eventually(async () => (await node.metric("carillon_catching_up")) === 0, { what: "the end of catching up" });
      };
      await run({ node, alice, bob, users, heal });
    } finally {
      node.closeClients();
      await node.stop("SIGKILL");
      await way.cut();
    }
  }

  test("while it is: the session is new, not one without the room that was joined", async () => {
    await cutOff(async ({ alice, bob, users }) => {
      await alice.drop();
      await bob.send(users[0], "missed");
      alice.moveTo(nodes[2]);
      assert.equal(await alice.reconnect(), false);
    });
  });

  test("after that: recovered with that room, also where the node is killed", async () => {
    await cutOff(async ({ node, alice, bob, users, heal }) => {
      await heal();
      await bob.send(users[0], "live");
      await alice.next("receiveMessage");
      node.process.signal("SIGKILL");
      await alice.next("disconnect");
      await bob.send(users[0], "missed");
      alice.moveTo(nodes[2]);
      assert.equal(await alice.reconnect(), true);
      await bob.send(users[0], "live again");
      await alice.next("receiveMessage", { match: ({ message }) => message === "live again" });
      await alice.fence();
      assert.deepEqual(alice.all("receiveMessage").map(({ message }) => message), ["live", "missed", "live again"]);
    });
  });
});
