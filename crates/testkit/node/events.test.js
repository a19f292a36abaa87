// Every client event over every transport and parser: its answer, its acknowledgement, its errors.

import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { assertHas, assertRefused, ISO, OBJECT_ID } from "./assertions.js";
import { chatOf, someone, startNode } from "./carillon.js";
import { COMBINATIONS } from "./client.js";
import { eventually } from "./process.js";
import { start } from "./topology.js";

let node;

before(async () => {
  node = await start();
});
after(() => node?.stop());

for (const { name, transports, parser } of COMBINATIONS) {
  describe(`over ${name}`, () => {
    let alice;
    let bob;
    let chatboxId;
    let users;

    before(async () => {
      users = { alice: someone("alice"), bob: someone("bob") };
      chatboxId = chatOf(users.alice, users.bob);
      alice = await node.connect(users.alice, { transports, parser });
      bob = await node.connect(users.bob, { transports, parser });
      if (transports.length === 2) await Promise.all([alice.upgraded(), bob.upgraded()]);
    });

    test("joinChat answers chatJoined and the ack alike", async () => {
      const answer = await alice.join(chatboxId);
      assertHas(answer, { chatboxId, timestamp: ISO });
      assert.deepEqual(await alice.next("chatJoined"), answer);
    });

    test("an event without an ack callback is answered as well", async () => {
      bob.emit("joinChat", { chatboxId, unknown: "keys are ignored" });
      assertHas(await bob.next("chatJoined"), { chatboxId, timestamp: ISO });
    });

    test("sendMessage reaches the room, notifies the receiver and confirms, in this order", async () => {
      alice.forget();
      bob.forget();
      const message = "hello \u{1f600} <b>&amp;</b>";
      const answer = await alice.ask("sendMessage", {
        receiverId: users.bob,
        message: `  ${message}\n`,
        senderName: " Alice ",
        receiverName: "Bob",
      });
      await Promise.all([alice.fence(), bob.fence()]);

      assertHas(answer, { messageId: OBJECT_ID, timestamp: ISO, chatboxId, seq: 1 });
      const { messageId, timestamp } = answer;
      const received = {
        messageId,
        timestamp,
        chatboxId,
        message,
        seq: 1,
        senderId: users.alice,
        receiverId: users.bob,
        senderName: " Alice ",
        receiverName: "Bob",
      };
      assertHas(await bob.next("receiveMessage"), received);
      assertHas(await alice.next("receiveMessage"), received);
      assertHas(await bob.next("notification"), {
        type: "chat",
        fromUser: " Alice ",
        fromUserId: users.alice,
        message,
        chatboxId,
        timestamp,
        messageId,
        seq: 1,
        _id: OBJECT_ID,
      });
      assertHas(await alice.next("messageSent"), { messageId, timestamp, chatboxId, seq: 1 });
      const told = ["receiveMessage", "notification", "messageSent"];
      assert.deepEqual(alice.order.filter((event) => told.includes(event)), ["receiveMessage", "messageSent"]);
      assert.deepEqual(bob.order.filter((event) => told.includes(event)), ["receiveMessage", "notification"]);
    });

    test("typing is passed on to the others, every signal, in order", async () => {
      bob.forget();
      alice.forget();
      const signals = Array.from({ length: 40 }, (_, index) => index % 3 === 0);
      for (const isTyping of signals) alice.emit("typing", { chatboxId, isTyping });
      assert.deepEqual(await alice.ask("typing", { chatboxId, isTyping: false }), {});
      await eventually(() => bob.all("userTyping").length > signals.length, { what: "every signal" });
      await bob.fence();

      const typed = bob.all("userTyping");
      assert.deepEqual(typed.map(({ isTyping }) => isTyping), [...signals, false]);
      for (const signal of typed) assertHas(signal, { userId: users.alice, timestamp: ISO });
      assert.deepEqual(alice.all("userTyping"), []);
    });

    test("markMessageRead tells the others in the room, also the second time", async () => {
      const { messageId } = await alice.send(users.bob, "read me");
      alice.forget();
      for (let i = 0; i < 2; i += 1) {
        const answer = await bob.ask("markMessageRead", { messageId, chatboxId });
        assertHas(answer, { messageId, readBy: users.bob, timestamp: ISO });
        assert.deepEqual(await alice.next("messageRead"), answer);
      }
      await bob.fence();
      assert.deepEqual(bob.all("messageRead"), []);
    });

    test("getOnlineUsers answers the list, whatever its arguments", async () => {
      for (const args of [[], [{ some: "thing" }, 5, null], ["x"]]) {
        const list = await alice.ask("getOnlineUsers", ...args);
        for (const userId of Object.values(users)) {
          assertHas(list.find((entry) => entry.userId === userId), { userId, lastSeen: ISO });
        }
        assert.deepEqual(await alice.next("onlineUsers"), list);
      }
    });

    test("an unknown event is refused in its ack alone", async () => {
      alice.forget();
      assertHas(await alice.ask("noSuchEvent", { a: 1 }), { error: { code: "invalid", message: /./ } });
      alice.emit("noSuchEvent", { a: 1 });
      await alice.fence();
      assert.deepEqual(alice.all("error"), []);
    });

    test("an error is an event and an ack", async () => {
      const answer = await alice.ask("joinChat", {});
      assertRefused(answer, "invalid", "Chatbox ID is required");
      assert.deepEqual(await alice.next("error"), answer.error);
    });

    test("binary where text belongs is refused, and the connection stays", async () => {
      const answer = await alice.ask("sendMessage", {
        receiverId: users.bob,
        message: Buffer.from("hello"),
        senderName: "A",
        receiverName: "B",
      });
      assertRefused(answer, "invalid", "Failed to send message");
      await alice.fence();
    });

    test("leaveChat answers chatLeft and ends the delivery", async () => {
      const answer = await bob.ask("leaveChat", { chatboxId });
      assertHas(answer, { chatboxId, timestamp: ISO });
      assert.deepEqual(await bob.next("chatLeft"), answer);
      bob.forget();
      await alice.send(users.bob, "anyone there?");
      await bob.fence();
      assert.deepEqual(bob.all("receiveMessage"), []);
      assert.equal(bob.all("notification").length, 1);
    });
  });
}

describe("who hears what", () => {
  let users;
  let chatboxId;

  before(() => {
    users = { alice: someone("alice"), bob: someone("bob"), eve: someone("eve") };
    chatboxId = chatOf(users.alice, users.bob);
  });

  test("answers go to the asking socket alone", async () => {
    const [asking, other] = await node.connectAll(users.alice, users.alice);
    await asking.join(chatboxId);
    await asking.send(users.bob, "hi");
    await asking.ask("joinChat", {});
    await asking.ask("leaveChat", { chatboxId });
    await asking.fence();
    await other.fence();
    other.forget();
    await other.fence();
    for (const event of ["chatJoined", "chatLeft", "messageSent", "error"]) {
      assert.equal(other.all(event).length, 0, event);
      assert.ok(asking.all(event).length > 0, event);
    }
  });

  test("a chat needs no creating and leaving needs no joining", async () => {
    const user = someone();
    const client = await node.connect(user);
    const fresh = chatOf(user, "nobody yet");
    assertHas(await client.ask("leaveChat", { chatboxId: fresh }), { chatboxId: fresh });
    assertHas(await client.join(fresh), { chatboxId: fresh });
    assertHas(await client.ask("typing", { chatboxId: fresh, isTyping: true }), {});
  });

  test("one who has not joined may type", async () => {
    const [alice, bob] = await node.connectAll(users.alice, users.bob);
    await bob.join(chatboxId);
    alice.emit("typing", { chatboxId, isTyping: true });
    assertHas(await bob.next("userTyping"), { userId: users.alice, isTyping: true });
  });

  test("bad typing input is met with silence", async () => {
    const [alice, bob, eve] = await node.connectAll(users.alice, users.bob, users.eve);
    await bob.join(chatboxId);
    bob.forget();
    for (const isTyping of ["true", 1, 0, null, undefined, {}, []]) alice.emit("typing", { chatboxId, isTyping });
    for (const payload of [undefined, null, "x", 5, [], {}, { isTyping: true }, { chatboxId: { $ne: 1 }, isTyping: true }]) {
      alice.emit("typing", payload);
    }
    eve.emit("typing", { chatboxId, isTyping: true });
    await Promise.all([alice.fence(), eve.fence()]);
    alice.emit("typing", { chatboxId, isTyping: false });
    await bob.next("userTyping", { match: ({ isTyping }) => !isTyping });

    assert.equal(bob.all("userTyping").length, 1);
    assert.deepEqual([...alice.all("error"), ...eve.all("error")], []);
  });

  test("strangers may neither join, leave nor mark", async () => {
    const [alice, eve] = await node.connectAll(users.alice, users.eve);
    const { messageId } = await alice.send(users.bob, "private");
    assertRefused(await eve.join(chatboxId), "forbidden", "Failed to join chat");
    assertRefused(await eve.ask("leaveChat", { chatboxId }), "forbidden", "Failed to leave chat");
    const mark = await eve.ask("markMessageRead", { messageId, chatboxId });
    assertRefused(mark, "forbidden", "Failed to mark message as read");

    await alice.send(users.bob, "still private");
    await eve.fence();
    assert.deepEqual(eve.all("receiveMessage"), []);
  });

  test("role admin opens nothing on a socket", async () => {
    const admin = await node.connect(someone("root"), {
      auth: { token: node.token(someone("root"), { role: "admin" }) },
    });
    assertRefused(await admin.join(chatboxId), "forbidden", "Failed to join chat");
  });

  test("a message is marked read by its receiver alone, through its own chat", async () => {
    const [alice, bob] = await node.connectAll(users.alice, users.bob);
    const { messageId } = await alice.send(users.bob, "mine to send, yours to read");
    const text = "Failed to mark message as read";
    assertRefused(await alice.ask("markMessageRead", { messageId, chatboxId }), "forbidden", text);
    const other = chatOf(users.bob, users.eve);
    assertHas(await bob.ask("markMessageRead", { messageId, chatboxId: other }), { error: { message: text } });
    const unknown = "f".repeat(24);
    assertRefused(await bob.ask("markMessageRead", { messageId: unknown, chatboxId }), "not_found", text);
    assertHas(await bob.ask("markMessageRead", { messageId, chatboxId }), { messageId });
  });
});

describe("error rows", () => {
  const REQUIRED = "Missing required fields";
  const SEND = "Failed to send message";
  const MARKS = "Message ID and Chatbox ID are required";
  const MARK = "Failed to mark message as read";
  const user = "rows";
  let client;

  before(async () => {
    client = await node.connect(user);
  });

  const sending = (changes) => ({ receiverId: "bob", message: "hi", senderName: "A", receiverName: "B", ...changes });
  const NO_OBJECTS = [undefined, null, "text", 5, true, []];

  const rows = [
    ...NO_OBJECTS.map((payload) => ["joinChat", payload, "Chatbox ID is required"]),
    ...NO_OBJECTS.map((payload) => ["leaveChat", payload, "Chatbox ID is required"]),
    ...NO_OBJECTS.map((payload) => ["sendMessage", payload, REQUIRED]),
    ...NO_OBJECTS.map((payload) => ["markMessageRead", payload, MARKS]),
    ...[undefined, null, ""].flatMap((missing) => [
      ["joinChat", { chatboxId: missing }, "Chatbox ID is required"],
      ["leaveChat", { chatboxId: missing }, "Chatbox ID is required"],
      ["markMessageRead", { messageId: missing, chatboxId: "a_b" }, MARKS],
      ["markMessageRead", { messageId: "f".repeat(24), chatboxId: missing }, MARKS],
      ...["receiverId", "message", "senderName", "receiverName"].map((field) => [
        "sendMessage",
        sending({ [field]: missing }),
        REQUIRED,
      ]),
    ]),
    ...[{ $ne: null }, ["a_b"], true, 1.5, "a\u0000_b", "x".repeat(258)].flatMap((chatboxId) => [
      ["joinChat", { chatboxId }, "Failed to join chat"],
      ["leaveChat", { chatboxId }, "Failed to leave chat"],
      ["markMessageRead", { messageId: "f".repeat(24), chatboxId }, MARK],
    ]),
    ...[{ $gt: "" }, ["f".repeat(24)], true, 1.5].map((messageId) => [
      "markMessageRead",
      { messageId, chatboxId: `a_${user}` },
      MARK,
    ]),
    ...[" ", "\t\r\n", "\u00a0\u2003\u2028\ufeff"].map((message) => [
      "sendMessage",
      sending({ message }),
      "Message cannot be empty",
    ]),
    ["sendMessage", sending({ message: "x".repeat(1001) }), "Message too long (max 1000 characters)"],
    ["sendMessage", sending({ message: "\u{1f600}".repeat(501) }), "Message too long (max 1000 characters)"],
    ...[5, true, {}, ["hi"], { $ne: "" }].map((message) => ["sendMessage", sending({ message }), SEND]),
    ...[1.5, true, {}, ["bob"], { $ne: "" }, "a\u0007", "x".repeat(129)].map((receiverId) => [
      "sendMessage",
      sending({ receiverId }),
      SEND,
    ]),
    ...[5, true, {}, "x".repeat(257)].flatMap((named) => [
      ["sendMessage", sending({ senderName: named }), SEND],
      ["sendMessage", sending({ receiverName: named }), SEND],
    ]),
    ...[5, {}, "x".repeat(65)].map((clientMessageId) => ["sendMessage", sending({ clientMessageId }), SEND]),
    ["sendMessage", sending({ message: " ", senderName: "" }), REQUIRED, "missing comes before blank"],
    ["sendMessage", sending({ message: " ", receiverId: {} }), "Message cannot be empty", "blank comes before the rest"],
    ["sendMessage", sending({ message: "x".repeat(1001), receiverId: {} }), "Message too long (max 1000 characters)", "length comes before the rest"],
  ];

  for (const [event, payload, message, why] of rows) {
    const shown = JSON.stringify(payload) ?? "nothing";
    test(`${event} ${shown.length > 90 ? `${shown.slice(0, 90)}…` : shown}${why ? `: ${why}` : ""}`, async () => {
      const answer = await client.ask(event, ...(payload === undefined ? [] : [payload]));
      assertRefused(answer, "invalid", message);
      assert.deepEqual(await client.next("error"), answer.error);
    });
  }

  test("an id of another form is no chat of mine", async () => {
    for (const chatboxId of ["nounderscore", "_", "a_b", `${user}`, `_${user}`, `${user}_`]) {
      assertHas(await client.join(chatboxId), { error: { message: "Failed to join chat" } });
    }
  });

  test("an id whose halves are not sorted is no chat", async () => {
    const other = `a${user}`;
    assertHas(await client.join(`${user}_${other}`), { error: { message: "Failed to join chat" } });
    assertHas(await client.join(`${other}_${user}`), { chatboxId: `${other}_${user}` });
  });

  test("an integer counts as its decimal text", async () => {
    const answer = await client.send(42, "to a number");
    assert.equal(answer.chatboxId, chatOf(user, "42"));
  });

  test("names of 256 code units are kept as given", async () => {
    const [sender, receiver] = await node.connectAll(user, "bob of names");
    const senderName = ` ${"\u{1f600}".repeat(127)} `;
    await sender.send("bob of names", "hi", { senderName });
    assert.equal((await receiver.next("notification")).fromUser, senderName);
  });

  test("details show only in development", async () => {
    const development = await startNode({ env: { NODE_ENV: "development" } });
    try {
      const [there] = await development.connectAll(user);
      const { error } = await there.ask("joinChat", { chatboxId: { $ne: null } });
      assertHas(error, { message: "Failed to join chat", code: "invalid", details: /./ });
    } finally {
      await development.stop();
    }
    assert.ok(!("details" in (await client.ask("joinChat", { chatboxId: { $ne: null } })).error));
  });
});
