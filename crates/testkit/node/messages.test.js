// What a message is: its number, its order, its copies, its notification, its text.

import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { assertConsecutive, assertHas, assertRefused, OBJECT_ID } from "./assertions.js";
import { chatOf, someone } from "./carillon.js";
import { describeOneNode, start } from "./topology.js";

let node;

before(async () => {
  node = await start();
});
after(() => node?.stop());

const pair = () => {
  const users = [someone("alice"), someone("bob")];
  return { users, chatboxId: chatOf(...users) };
};
const path = encodeURIComponent;
const history = async (user, chatboxId, query = "?limit=100") =>
  (await node.get(`/api/chat/messages/${path(chatboxId)}${query}`, { as: user })).body;
const inbox = async (user) => (await node.get(`/api/notifications/user/${path(user)}`, { as: user })).body.notifications;
const unread = async (user) => (await node.get(`/api/chat/user/${path(user)}/unread-count`, { as: user })).body.unreadCount;

describe("order", () => {
  test("seq counts 1, 2, 3 … in acks, live copies, notifications and history alike", async () => {
    const { users, chatboxId } = pair();
    const [alice, bob] = await node.connectAll(...users);
    await Promise.all([alice.join(chatboxId), bob.join(chatboxId)]);
    const answers = [];
    for (let i = 0; i < 20; i += 1) answers.push(await alice.send(users[1], `message ${i}`));
    await bob.fence();

    const { messages } = await history(users[0], chatboxId);
    for (const numbered of [answers, bob.all("receiveMessage"), bob.all("notification"), alice.all("messageSent"), messages.reverse()]) {
      assertConsecutive(numbered.map(({ seq }) => seq));
      assert.equal(numbered.length, 20);
    }
    const stamps = messages.map(({ timestamp }) => timestamp);
    assert.deepEqual(stamps, [...stamps].sort());
  });

  test("both write at once from several devices: one order for every reader, without a hole", async () => {
    const { users, chatboxId } = pair();
    const [alice, bob] = users;
    const devices = await node.connectAll(alice, alice, bob, bob);
    await Promise.all(devices.map((device) => device.join(chatboxId)));
    const sends = devices.flatMap((device, index) =>
      Array.from({ length: 25 }, (_, i) => device.send(index < 2 ? bob : alice, `${index}:${i}`)),
    );
    await Promise.all(sends);
    await Promise.all(devices.map((device) => device.fence()));

    const orders = devices.map((device) => device.all("receiveMessage"));
    for (const order of orders) {
      assertConsecutive(order.map(({ seq }) => seq));
      assert.equal(order.length, 100);
    }
    const { messages } = await history(alice, chatboxId);
    const stored = messages.reverse().map(({ message }) => message);
    for (const order of orders) assert.deepEqual(order.map(({ message }) => message), stored);
    for (let index = 0; index < 4; index += 1) {
      const own = stored.filter((text) => text.startsWith(`${index}:`));
      assert.deepEqual(own, Array.from({ length: 25 }, (_, i) => `${index}:${i}`));
    }
  });

  test("by the time of the ack every read shows the message", async () => {
    const { users, chatboxId } = pair();
    const [alice] = await node.connectAll(users[0]);
    for (let i = 1; i <= 10; i += 1) {
      const { messageId, timestamp } = await alice.send(users[1], `m${i}`);
      const [page, list, count, notifications, stats] = await Promise.all([
        history(users[1], chatboxId),
        node.get(`/api/chat/user/${users[1]}/chats`, { as: users[1] }),
        unread(users[1]),
        inbox(users[1]),
        node.get(`/api/notifications/user/${users[1]}/stats`, { as: users[1] }),
      ]);
      assertHas(page.messages[0], { _id: messageId, timestamp, seq: i });
      assertHas(list.body.chats[0], { chatboxId, unreadCount: i, lastMessage: { message: `m${i}`, timestamp } });
      assert.equal(count, i);
      assert.equal(notifications.at(-1).metadata.messageId, messageId);
      assert.equal(stats.body.stats.unreadCount, i);
    }
  });
});

describe("several devices", () => {
  test("every socket of both users is served, the sender's own in the room included", async () => {
    const { users, chatboxId } = pair();
    const [sending, desk, phone, tablet] = await node.connectAll(users[0], users[0], users[1], users[1]);
    await Promise.all([sending, desk, phone].map((client) => client.join(chatboxId)));
    await sending.send(users[1], "to all");
    await Promise.all([sending, desk, phone, tablet].map((client) => client.fence()));

    const count = (event) => [sending, desk, phone, tablet].map((client) => client.all(event).length);
    assert.deepEqual(count("receiveMessage"), [1, 1, 1, 0]);
    assert.deepEqual(count("notification"), [0, 0, 1, 1]);
    assert.deepEqual(count("messageSent"), [1, 0, 0, 0]);
  });

  test("a receiver who is not online finds it stored", async () => {
    const { users, chatboxId } = pair();
    const [alice] = await node.connectAll(users[0]);
    const { messageId } = await alice.send(users[1], "for later");
    assertHas((await history(users[1], chatboxId)).messages[0], { _id: messageId, message: "for later", read: false });
    assert.equal((await inbox(users[1])).length, 1);
  });
});

describe("clientMessageId", () => {
  test("a resend is confirmed again, stores nothing and reaches nobody", async () => {
    const { users, chatboxId } = pair();
    const [alice, again, bob] = await node.connectAll(users[0], users[0], users[1]);
    await bob.join(chatboxId);
    const clientMessageId = "\u{1f600}".repeat(32);
    const first = await alice.send(users[1], "once", { clientMessageId });
    for (const [client, text] of [[alice, "once"], [again, "once"], [alice, "another text"]]) {
      const { messageId, timestamp, seq } = await client.send(users[1], text, { clientMessageId });
      assert.deepEqual({ messageId, timestamp, seq }, { messageId: first.messageId, timestamp: first.timestamp, seq: 1 });
    }
    await bob.fence();

    assert.equal(alice.all("messageSent").length, 3);
    assert.deepEqual(bob.all("receiveMessage").map(({ message }) => message), ["once"]);
    assert.equal(bob.all("notification").length, 1);
    assert.equal((await history(users[0], chatboxId)).messages.length, 1);
    assert.equal((await inbox(users[1])).length, 1);
    assert.equal(await unread(users[1]), 1);
    assert.equal((await alice.send(users[1], "next")).seq, 2);
  });

  test("twenty copies at once are one message", async () => {
    const { users, chatboxId } = pair();
    const [alice, other] = await node.connectAll(users[0], users[0]);
    const copies = Array.from({ length: 20 }, (_, i) => (i % 2 ? alice : other).send(users[1], "x", { clientMessageId: "c" }));
    const answers = await Promise.all(copies);
    assert.equal(new Set(answers.map(({ messageId }) => messageId)).size, 1);
    assert.equal((await history(users[0], chatboxId)).messages.length, 1);
  });

  test("it is the sender's own, in each chat anew", async () => {
    const { users } = pair();
    const third = someone();
    const [alice, bob] = await node.connectAll(...users);
    const clientMessageId = "same";
    const answers = [
      await alice.send(users[1], "1", { clientMessageId }),
      await bob.send(users[0], "2", { clientMessageId }),
      await alice.send(third, "3", { clientMessageId }),
    ];
    assert.equal(new Set(answers.map(({ messageId }) => messageId)).size, 3);
  });
});

describe("notifications of messages", () => {
  test("the stored one quotes the first hundred", async () => {
    const { users } = pair();
    const [alice] = await node.connectAll(users[0]);
    const emoji = "\u{1f600}";
    const quotes = [
      ["x".repeat(100), "x".repeat(100)],
      ["x".repeat(101), `${"x".repeat(100)}...`],
      [`${"x".repeat(99)}${emoji}`, `${"x".repeat(99)}...`],
      [emoji.repeat(50), emoji.repeat(50)],
      [emoji.repeat(51), `${emoji.repeat(50)}...`],
    ];
    for (const [message, quote] of quotes) {
      const { messageId, chatboxId } = await alice.send(users[1], message, { senderName: "Alice <a>" });
      const stored = (await inbox(users[1])).at(-1);
      assertHas(stored, {
        message: `New message from Alice <a>: ${quote}`,
        fromUser: users[0],
        fromUserId: users[0],
        toUser: users[1],
        type: "chat",
        read: false,
        chatboxId,
        notifId: OBJECT_ID,
        metadata: { messageId, priority: "medium" },
      });
      assert.equal(stored._id, stored.notifId);
    }
  });

  test("the live one has the id of the stored one", async () => {
    const { users } = pair();
    const [alice, bob] = await node.connectAll(...users);
    await alice.send(users[1], "hello");
    const live = await bob.next("notification");
    assert.deepEqual((await inbox(users[1])).map(({ notifId }) => notifId), [live._id]);
  });

  test("the stored one is not announced a second time", async () => {
    const { users } = pair();
    const [alice, bob] = await node.connectAll(...users);
    await alice.send(users[1], "hello");
    await inbox(users[1]);
    await bob.fence();
    assert.equal(bob.all("notification").length, 1);
  });
});

describe("a message to oneself", () => {
  test("is allowed, delivered, notified and never unread", async () => {
    const user = someone();
    const [desk, phone] = await node.connectAll(user, user);
    const chatboxId = `${user}_${user}`;
    await phone.join(chatboxId);
    const answer = await desk.send(user, "note to self");
    await Promise.all([desk.fence(), phone.fence()]);

    assertHas(answer, { chatboxId, seq: 1 });
    assert.equal(phone.all("receiveMessage").length, 1);
    assert.equal(desk.all("notification").length, 1);
    assert.equal(phone.all("notification").length, 1);
    assert.equal((await inbox(user)).length, 1);
    assert.equal(await unread(user), 0);
    const { body } = await node.get(`/api/chat/user/${user}/chats`, { as: user });
    assertHas(body.chats[0], { chatboxId, otherUserId: user, unreadCount: 0 });
  });
});

describe("ambiguous ids", () => {
  test("two pairs that share a chatboxId never meet", async () => {
    const stem = someone("p");
    const first = [stem, "q_r"];
    const second = [`${stem}_q`, "r"];
    const chatboxId = `${stem}_q_r`;
    const clients = await node.connectAll(...first, ...second);
    const [p, qr, pq, r] = clients;
    for (const client of clients) assertHas(await client.join(chatboxId), { chatboxId });
    for (const client of clients) client.forget();

    const one = await p.send("q_r", "for q_r alone");
    const two = await r.send(`${stem}_q`, "for p_q alone");
    await p.ask("typing", { chatboxId, isTyping: true });
    const mark = await r.ask("markMessageRead", { messageId: one.messageId, chatboxId });
    assertHas(mark, { error: { message: "Failed to mark message as read" } });
    await qr.next("userTyping");
    await Promise.all(clients.map((client) => client.fence()));

    assert.equal(one.chatboxId, chatboxId);
    assert.equal(two.chatboxId, chatboxId);
    assert.deepEqual([one.seq, two.seq], [1, 1]);
    const heard = (client, event) => client.all(event).map(({ message, userId }) => message ?? userId);
    assert.deepEqual(heard(p, "receiveMessage"), ["for q_r alone"]);
    assert.deepEqual(heard(qr, "receiveMessage"), ["for q_r alone"]);
    assert.deepEqual(heard(pq, "receiveMessage"), ["for p_q alone"]);
    assert.deepEqual(heard(r, "receiveMessage"), ["for p_q alone"]);
    assert.deepEqual(heard(qr, "userTyping"), [stem]);
    assert.deepEqual([...heard(pq, "userTyping"), ...heard(r, "userTyping")], []);
    assert.deepEqual(heard(pq, "notification"), ["for p_q alone"]);
    for (const [user, text] of [[stem, "for q_r alone"], ["q_r", "for q_r alone"], [`${stem}_q`, "for p_q alone"], ["r", "for p_q alone"]]) {
      const { messages } = await history(user, chatboxId);
      assert.deepEqual(messages.map(({ message }) => message), [text], user);
    }
  });

  test("an admin names one of the two", async () => {
    const stem = someone("p");
    const chatboxId = `${stem}_q_r`;
    const [p, r] = await node.connectAll(stem, "r");
    await p.send("q_r", "first pair");
    await r.send(`${stem}_q`, "second pair");
    const token = node.token("root", { role: "admin" });
    const read = (user) => node.get(`/api/chat/messages/${chatboxId}?userId=${user}`, { token });
    for (const [user, text] of [[stem, "first pair"], ["q_r", "first pair"], ["r", "second pair"], [`${stem}_q`, "second pair"]]) {
      const { body } = await read(user);
      assert.deepEqual(body.messages.map(({ message }) => message), [text]);
    }
  });
});

describe("text", () => {
  const pass = async (message, stored = message) => {
    const { users, chatboxId } = pair();
    const [alice, bob] = await node.connectAll(...users);
    await bob.join(chatboxId);
    const answer = await alice.send(users[1], message);
    assertHas(answer, { messageId: OBJECT_ID });
    assert.equal((await bob.next("receiveMessage")).message, stored);
    assert.equal((await history(users[1], chatboxId)).messages[0].message, stored);
  };

  for (const [name, message] of [
    ["markup", '<script>alert("1")</script>&amp; \' \\ `'],
    ["operators", '{"$gt":""}'],
    ["right to left and joined emoji", "\u05e9\u05dc\u05d5\u05dd \u202eabc\u202c \u{1f469}\u200d\u{1f4bb}"],
    ["white space within", "a \t\n\u00a0 b"],
    ["combining marks, not normalised", "e\u0301 \u00e9"],
    ["SQL", "'; DROP TABLE messages; --"],
    ["a control character", "a\u0001b"],
    ["a wire separator", "a\u001eb"],
  ]) {
    test(`${name} is stored and returned as sent`, () => pass(message));
  }

  test("500 emoji are 1000 code units and pass", () => pass("\u{1f600}".repeat(500)));
  test("1000 code units within white space pass", () => pass(` ${"x".repeat(1000)}\n`, "x".repeat(1000)));
  test("trimming is JavaScript's", () => {
    const space = "\u00a0\u1680\u2003\u2028\u2029\u202f\u205f\u3000\ufeff\t\v\f\r\n ";
    return pass(`${space}x${space}y${space}`, `x${space}y`);
  });
  test("what JavaScript does not trim stays", () => pass("\u200b\u0085x\u200b\u180e"));

  for (const [name, half] of [["high", "\ud83d"], ["low", "\ude00"]]) {
    test(`half a surrogate pair (${name}) is replaced or refused, the connection stays`, async () => {
      const { users } = pair();
      const [alice] = await node.connectAll(users[0]);
      const answer = await alice.send(users[1], `a${half}b`);
      if (answer.error) assertRefused(answer, "invalid", "Failed to send message");
      else assert.equal((await history(users[1], answer.chatboxId)).messages[0].message, "a\ufffdb");
      await alice.fence();
    });
  }

  test("ids are sorted by UTF-16 code units", async () => {
    for (const [one, two, chatboxId] of [
      ["9", "10", "10_9"],
      ["a", "Z", "Z_a"],
      ["\uff61", "\u{1f600}", "\u{1f600}_\uff61"],
      ["a", "a b", "a_a b"],
    ]) {
      const [client] = await node.connectAll(one);
      assert.equal((await client.send(two, "hi")).chatboxId, chatboxId);
      client.close();
    }
  });
});

describeOneNode("the quota of messages", () => {
  test("a burst of 200 passes, what is above it is refused by itself and worth a retry", async () => {
    const { users } = pair();
    const [alice] = await node.connectAll(users[0]);
    // A machine that is busy may take so long for one burst that the next is let through as well.
    const answers = [];
    while (!answers.some(({ error }) => error)) {
      answers.push(...(await Promise.all(Array.from({ length: 300 }, (_, i) => alice.send(users[1], `${i}`)))));
    }
    const refused = answers.filter(({ error }) => error);
    const sent = answers.filter(({ error }) => !error);

    assert.ok(sent.length >= 200, `${sent.length} sent`);
    assertConsecutive(sent.map(({ seq }) => seq));
    for (const { error } of refused) {
      assertHas(error, { code: "rate_limited", message: /^Too many /, retryAfterMs: (value) => value > 0 && value < 60_000 });
    }
    assert.equal(alice.all("error").length, refused.length);
    assert.ok(alice.socket.connected);
    await new Promise((resolve) => setTimeout(resolve, Math.max(...refused.map(({ error }) => error.retryAfterMs))));
    assertHas(await alice.send(users[1], "after the wait"), { messageId: OBJECT_ID });
  });
});
