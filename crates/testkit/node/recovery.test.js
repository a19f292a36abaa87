// Connection state recovery: what was missed comes once and in order, or the session is new.

import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { assertHas } from "./assertions.js";
import { chatOf, someone } from "./carillon.js";
import { COMBINATIONS } from "./client.js";
import { mint, seconds } from "./token.js";
import { start } from "./topology.js";
import { Frames } from "./wire.js";

let node;

before(async () => {
  node = await start();
});
after(() => node?.stop());

/** Alice, who will be cut off, and Bob, who goes on; both in their room. */
async function pair(options) {
  const users = [someone("alice"), someone("bob")];
  const chatboxId = chatOf(...users);
  const alice = await node.connect(users[0], options);
  const bob = await node.connect(users[1]);
  if (options?.transports?.length === 2) await alice.upgraded();
  await Promise.all([alice.join(chatboxId), bob.join(chatboxId)]);
  return { alice, bob, users, chatboxId };
}

describe("what was missed", () => {
  for (const { name, ...options } of COMBINATIONS) {
    test(`comes once and in order over ${name}`, async () => {
      const { alice, bob, users, chatboxId } = await pair(options);
      const before_ = await alice.send(users[1], "before the fault");
      await alice.next("receiveMessage");
      const id = alice.id;

      await alice.drop();
      alice.forget();
      await bob.send(users[0], "missed 1");
      await bob.ask("markMessageRead", { messageId: before_.messageId, chatboxId });
      await bob.ask("typing", { chatboxId, isTyping: true });
      await bob.send(users[0], "missed 2");
      assert.equal(await alice.reconnect(), true);
      await bob.send(users[0], "after it");
      await alice.next("receiveMessage", { match: ({ message }) => message === "after it" });
      await alice.fence();

      assert.equal(alice.id, id);
      assert.deepEqual(alice.all("receiveMessage").map(({ message }) => message), ["missed 1", "missed 2", "after it"]);
      assert.deepEqual(alice.all("receiveMessage").map(({ seq }) => seq), [2, 3, 4]);
      assert.deepEqual(alice.all("notification").map(({ message }) => message), ["missed 1", "missed 2", "after it"]);
      assert.deepEqual(alice.all("messageRead").map(({ messageId }) => messageId), [before_.messageId]);
      assert.deepEqual(alice.all("userTyping"), []);
      const told = alice.order.filter((event) => ["receiveMessage", "messageRead", "notification"].includes(event));
      assert.deepEqual(told, [
        "receiveMessage",
        "notification",
        "messageRead",
        "receiveMessage",
        "notification",
        "receiveMessage",
        "notification",
      ]);
    });
  }

  test("userStatusChange is among it", async () => {
    const { alice } = await pair();
    await alice.drop();
    alice.forget();
    const other = someone("carol");
    await node.connect(other);
    assert.equal(await alice.reconnect(), true);
    await alice.next("userStatusChange", { match: ({ userId }) => userId === other });
    await alice.fence();
    const changes = alice.all("userStatusChange").filter(({ userId }) => userId === other);
    assert.deepEqual(changes.map(({ status }) => status), ["online"]);
  });

  test("a notification created over REST is among it", async () => {
    const { alice, users } = await pair();
    await alice.drop();
    alice.forget();
    const json = { toUser: users[0], fromUser: users[1], message: "over REST" };
    assert.equal((await node.rest("POST", "/api/notifications/create", { as: users[1], json })).status, 201);
    assert.equal(await alice.reconnect(), true);
    await alice.fence();
    assert.deepEqual(alice.all("notification").map(({ message }) => message), ["over REST"]);
  });

  test("what comes while the old connection still looks alive is not lost", async () => {
    const { alice, bob, users } = await pair();
    await Promise.all([alice.drop(), ...Array.from({ length: 10 }, (_, i) => bob.send(users[0], `${i}`))]);
    assert.equal(await alice.reconnect(), true);
    await alice.fence();
    const seqs = alice.all("receiveMessage").map(({ seq }) => seq);
    assert.deepEqual(seqs, [1, 2, 3, 4, 5, 6, 7, 8, 9, 10]);
  });

  test("three hundred missed messages arrive whole", async () => {
    const { alice, bob, users } = await pair();
    await alice.drop();
    let sent = 0;
    while (sent < 300) {
      const answer = await bob.send(users[0], `${sent}`);
      if (answer.error) await new Promise((resolve) => setTimeout(resolve, answer.error.retryAfterMs));
      else sent += 1;
    }
    assert.equal(await alice.reconnect(), true);
    await alice.fence();
    assert.deepEqual(alice.all("receiveMessage").map(({ seq }) => seq), Array.from({ length: 300 }, (_, i) => i + 1));
  });

  test("a chat that was left is not recovered", async () => {
    const { alice, bob, users, chatboxId } = await pair();
    await alice.ask("leaveChat", { chatboxId });
    await alice.drop();
    alice.forget();
    await bob.send(users[0], "not for this socket");
    assert.equal(await alice.reconnect(), true);
    await alice.fence();
    assert.deepEqual(alice.all("receiveMessage"), []);
    assert.equal(alice.all("notification").length, 1);
  });
});

describe("when a session is recovered", () => {
  test("chatJoined alone carries an offset", async () => {
    const user = someone();
    const client = await node.connect(user);
    client.emit("joinChat", { chatboxId: chatOf(user, "zoe") });
    await client.next("chatJoined");
    await client.drop();
    assert.equal(await client.reconnect(), true);
  });

  test("userTyping as the last event does not spoil it", async () => {
    const { alice, bob, users, chatboxId } = await pair();
    await bob.ask("typing", { chatboxId, isTyping: true });
    await alice.next("userTyping");
    await alice.drop();
    await bob.send(users[0], "missed");
    assert.equal(await alice.reconnect(), true);
    await alice.fence();
    assert.deepEqual(alice.all("receiveMessage").map(({ message }) => message), ["missed"]);
  });

  test("again and again, each time what was missed since", async () => {
    const { alice, bob, users } = await pair();
    for (let i = 1; i <= 4; i += 1) {
      await alice.drop();
      // Her node has noticed: from a connection that lives nothing is taken that it took over a moment ago.
      await bob.next("userStatusChange", { match: ({ userId, status }) => userId === users[0] && status === "offline" });
      await bob.send(users[0], `round ${i}`);
      assert.equal(await alice.reconnect(), true, `round ${i}`);
    }
    await alice.fence();
    assert.deepEqual(alice.all("receiveMessage").map(({ seq }) => seq), [1, 2, 3, 4]);
  });

  test("a client that comes back by itself, with nothing missed", async () => {
    const { alice, bob, users } = await pair({ reconnection: true, reconnectionDelay: 10, reconnectionDelayMax: 20 });
    await alice.drop();
    await alice.next("connect");
    assert.equal(alice.socket.recovered, true);
    await bob.send(users[0], "hello again");
    assertHas(await alice.next("receiveMessage"), { message: "hello again", seq: 1 });
  });
});

describe("when it is new", () => {
  /** After the reconnection nothing old comes, and the client is a socket like any other. */
  async function assertNew(client, bob, users, id) {
    assert.equal(await client.reconnect(), false);
    assert.notEqual(client.id, id);
    await client.fence();
    assert.deepEqual(client.all("receiveMessage"), []);
    await bob.send(users[0], "notified");
    await client.next("notification", { match: ({ message }) => message === "notified" });
  }

  test("after the client's own disconnect()", async () => {
    const { alice, bob, users } = await pair();
    const id = alice.id;
    alice.socket.disconnect();
    await alice.next("disconnect");
    // Her node has heard of it.
    await bob.next("userStatusChange", { match: ({ userId, status }) => userId === users[0] && status === "offline" });
    await bob.send(users[0], "missed for good");
    alice.forget();
    await assertNew(alice, bob, users, id);
  });

  test("with a pid that nobody was given", async () => {
    const { alice, bob, users } = await pair();
    const id = alice.id;
    await alice.drop();
    alice.socket._pid = "unknown";
    alice.forget();
    await assertNew(alice, bob, users, id);
  });

  for (const offset of ["nonsense", "", "0", "x".repeat(10_000)]) {
    test(`with an offset that nobody was given: ${offset.slice(0, 10)}`, async () => {
      const { alice, bob, users } = await pair();
      const id = alice.id;
      await bob.send(users[0], "something to miss");
      await alice.drop();
      alice.socket._lastOffset = offset;
      alice.forget();
      await assertNew(alice, bob, users, id);
    });
  }

  test("with another user's pid, who keeps it", async () => {
    const { alice, bob, users } = await pair();
    const id = alice.id;
    await alice.drop();
    await bob.send(users[0], "for alice");
    const eve = node.client(someone("eve"));
    eve.socket._pid = alice.socket._pid;
    eve.socket._lastOffset = alice.socket._lastOffset;
    await eve.connect();
    await eve.fence();

    assert.notEqual(eve.id, id);
    assert.deepEqual([...eve.all("receiveMessage"), ...eve.all("notification")], []);
    assert.equal(await alice.reconnect(), true);
    assert.equal(alice.id, id);
    await alice.fence();
    assert.deepEqual(alice.all("receiveMessage").map(({ message }) => message), ["for alice"]);
  });

  test("an expired token is refused however good the pid", async () => {
    const { alice, users } = await pair();
    await alice.drop();
    alice.socket.auth = { token: node.token(users[0], { exp: seconds(-60) }) };
    assert.equal((await alice.refusal()).message, "Authentication failed");
    alice.socket.auth = { token: mint({ userId: users[0] }, "z".repeat(40)) };
    assert.equal((await alice.refusal()).message, "Authentication failed");
  });
});

describe("on the wire", () => {
  /** A raw connection that sends `auth` and reads until the CONNECT reply: `{ frames, before, reply }`. */
  async function rawConnect(auth) {
    const frames = await Frames.open(node.endpoint);
    frames.send(`40${JSON.stringify(auth)}`);
    const read = await frames.until((frame) => frame.startsWith("40"));
    return { frames, before: read.slice(0, -1), reply: JSON.parse(read.at(-1).slice(2)) };
  }

  /** Joins a chat and returns the offset of the chatJoined event. */
  async function rawJoin(frames, chatboxId) {
    frames.send(`42${JSON.stringify(["joinChat", { chatboxId }])}`);
    const read = await frames.until((frame) => frame.startsWith('42["chatJoined"'));
    return JSON.parse(read.at(-1).slice(2))[2];
  }

  test("the reply names sid and pid, which are not the transport's; events end with an offset", async () => {
    const user = someone();
    const { frames, reply } = await rawConnect({ token: node.token(user) });
    assert.deepEqual(Object.keys(reply).sort(), ["pid", "sid"]);
    assert.equal(new Set([reply.sid, reply.pid, frames.handshake.sid]).size, 3);
    assert.equal(typeof (await rawJoin(frames, chatOf(user, "zoe"))), "string");
    frames.terminate();
  });

  test("missed events come before the CONNECT reply, which repeats sid and pid", async () => {
    const [user, other] = [someone(), someone()];
    const token = node.token(user);
    const first = await rawConnect({ token });
    const offset = await rawJoin(first.frames, chatOf(user, other));
    first.frames.terminate();
    const bob = await node.connect(other);
    await bob.send(user, "missed");

    const second = await rawConnect({ token, pid: first.reply.pid, offset });
    assert.deepEqual(second.reply, first.reply);
    const names = second.before.map((frame) => JSON.parse(frame.slice(2))[0]);
    assert.deepEqual(names.filter((name) => name !== "userStatusChange"), ["receiveMessage", "notification"]);
    second.frames.terminate();
  });

  test("while the old connection is half open: taken over, the old one ended, every message once", async () => {
    const [user, other] = [someone(), someone()];
    const token = node.token(user);
    const first = await rawConnect({ token });
    const offset = await rawJoin(first.frames, chatOf(user, other));
    const bob = await node.connect(other);
    await bob.send(user, "during");

    const second = await rawConnect({ token, pid: first.reply.pid, offset });
    assert.deepEqual(second.reply, first.reply);
    await first.frames.closed;
    await bob.send(user, "after");
    const read = await second.frames.until((frame) => frame.includes('"after"') && frame.startsWith('42["notification"'));
    const texts = [...second.before, ...read]
      .filter((frame) => frame.startsWith('42["receiveMessage"'))
      .map((frame) => JSON.parse(frame.slice(2))[1].message);
    assert.deepEqual(texts, ["during", "after"]);
    const list = await bob.ask("getOnlineUsers");
    assert.ok(list.some(({ userId }) => userId === user));
    second.frames.terminate();
  });

  test("several connections with one pid at once: one is recovered and goes on", async () => {
    const user = someone();
    const token = node.token(user);
    const first = await rawConnect({ token });
    const offset = await rawJoin(first.frames, chatOf(user, "zoe"));
    first.frames.terminate();
    await first.frames.closed;
    const rivals = await Promise.all(
      Array.from({ length: 4 }, () => rawConnect({ token, pid: first.reply.pid, offset })),
    );
    const same = rivals.filter(({ reply }) => reply.sid === first.reply.sid);
    const open = [];
    for (const rival of same) {
      rival.frames.send('420["getOnlineUsers"]');
      const read = await rival.frames.until((frame) => frame.startsWith("430"));
      if (read.at(-1) !== undefined) open.push(rival);
    }
    assert.deepEqual([same.length, open.length], [1, 1], "recovered, and still open");
    for (const { frames } of rivals) frames.terminate();
  });

  for (const [name, recovery] of [
    ["a pid that is a number", { pid: 5, offset: "x" }],
    ["a pid that is an object", { pid: { $ne: null }, offset: { $ne: null } }],
    ["a pid without an offset", { pid: "x" }],
    ["an offset without a pid", { offset: "x" }],
    ["a pid of 100 kB", { pid: "x".repeat(100_000), offset: "x" }],
  ]) {
    test(`${name} gives a new session`, async () => {
      const { frames, reply } = await rawConnect({ token: node.token(someone()), ...recovery });
      assertHas(reply, { sid: /./, pid: /./ });
      frames.terminate();
    });
  }
});
