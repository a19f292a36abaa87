// The chat routes over REST: shapes, pages, counts, whose they are.

import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { assertConsecutive, assertHas, assertProblem, ISO, OBJECT_ID } from "./assertions.js";
import { chatOf, someone } from "./carillon.js";
import { eventually } from "./process.js";
import { start } from "./topology.js";

let node;

before(async () => {
  node = await start();
});
after(() => node?.stop());

const path = encodeURIComponent;

/** Two users of whom the first has sent `count` messages to the second. */
async function conversation(count, names = [someone("alice"), someone("bob")]) {
  const [alice] = await node.connectAll(names[0]);
  const sent = [];
  for (let i = 1; i <= count; i += 1) {
    sent.push(await alice.send(names[1], `message ${i}`, { senderName: "Alice", receiverName: "Bob" }));
  }
  return { alice: names[0], bob: names[1], chatboxId: chatOf(...names), sent };
}

describe("GET messages", () => {
  let chat;
  const page = (query, as = chat.alice) => node.get(`/api/chat/messages/${chat.chatboxId}${query}`, { as });

  before(async () => {
    chat = await conversation(125);
  });

  test("a page has its shape, newest first, empty keys left out", async () => {
    const { status, body } = await page("?page=1&limit=50");
    assert.equal(status, 200);
    assertHas(body, { totalPages: 3, currentPage: 1, totalMessages: 125, hasMore: true });
    assert.equal(body.messages.length, 50);
    assertConsecutive(body.messages.map(({ seq }) => seq).reverse(), 76);
    const [message] = body.messages;
    assertHas(message, {
      _id: OBJECT_ID,
      message: "message 125",
      timestamp: ISO,
      senderName: "Alice",
      receiverName: "Bob",
      senderId: chat.alice,
      receiverId: chat.bob,
      seq: 125,
      read: false,
      messageType: "text",
      edited: false,
    });
    for (const key of ["readAt", "readBy", "editedAt"]) assert.ok(!(key in message), key);
  });

  test("without a query it is the first fifty", async () => {
    assert.deepEqual((await page("")).body, (await page("?page=1&limit=50")).body);
  });

  test("pages follow each other to the last, and one beyond is empty", async () => {
    const third = (await page("?page=3&limit=50")).body;
    assertHas(third, { currentPage: 3, hasMore: false });
    assertConsecutive(third.messages.map(({ seq }) => seq).reverse(), 1);
    assert.equal(third.messages.length, 25);
    assertHas((await page("?page=4&limit=50")).body, { messages: [], currentPage: 4, totalMessages: 125, hasMore: false });
  });

  test("a limit over 100 counts as 100", async () => {
    for (const limit of ["101", "1000000"]) {
      const { body } = await page(`?limit=${limit}`);
      assert.equal(body.messages.length, 100);
      assert.equal(body.totalPages, 2);
    }
  });

  for (const key of ["page", "limit"]) {
    for (const value of ["0", "-1", "1.5", "abc", "", "1e2", "0x10", "+5", "5;", "null", "[object Object]"]) {
      test(`${key}=${value} is invalid`, async () => {
        assertProblem(await page(`?${key}=${path(value)}`), 400, "invalid");
      });
    }
  }

  for (const query of ["?page=99999999999999999999", "?page=18446744073709551615&limit=100", "?page=9007199254740993"]) {
    test(`${query} is answered without harm`, async () => {
      const response = await page(query);
      assert.ok([200, 400].includes(response.status), response.text);
      assert.ok(response.body);
    });
  }

  for (const query of ["?page[$gt]=1", "?page=1&page=2", "?limit[]=5", "?unknown=1"]) {
    test(`${query} is no server fault`, async () => {
      const response = await page(query);
      assert.ok([200, 400].includes(response.status), response.text);
    });
  }

  test("an unknown chat of mine is an empty page", async () => {
    const { status, body } = await node.get(`/api/chat/messages/${chatOf(chat.alice, "nobody")}?page=3`, { as: chat.alice });
    assert.equal(status, 200);
    assertHas(body, { messages: [], totalPages: 0, currentPage: 3 });
  });

  test("both of the two read it, an admin too, nobody else", async () => {
    assert.equal((await page("", chat.bob)).body.totalMessages, 125);
    const url = `/api/chat/messages/${chat.chatboxId}`;
    assert.equal((await node.get(url, { token: node.token("root", { role: "admin" }) })).body.totalMessages, 125);
    assertProblem(await page("", someone("eve")), 403, "forbidden");
    assertProblem(await node.get(url, { token: node.token("robot", { role: "service" }) }), 403, "forbidden");
  });

  test("afterSeq answers what is above it, oldest first", async () => {
    const first = (await page("?afterSeq=0")).body;
    assert.deepEqual(Object.keys(first).sort(), ["hasMore", "messages"]);
    assert.equal(first.hasMore, true);
    assertConsecutive(first.messages.map(({ seq }) => seq), 1);
    assert.equal(first.messages.length, 50);
    const rest = (await page("?afterSeq=100&limit=100")).body;
    assertConsecutive(rest.messages.map(({ seq }) => seq), 101);
    assertHas(rest, { hasMore: false, messages: ({ length }) => length === 25 });
    assertHas((await page("?afterSeq=100&limit=25")).body, { hasMore: false });
    assertHas((await page("?afterSeq=99&limit=25")).body, { hasMore: true });
    assert.deepEqual((await page("?afterSeq=125")).body, { messages: [], hasMore: false });
    assert.deepEqual((await page("?afterSeq=4000000000")).body, { messages: [], hasMore: false });
    const unknown = await node.get(`/api/chat/messages/${chatOf(chat.alice, "nobody")}?afterSeq=0`, { as: chat.alice });
    assert.deepEqual(unknown.body, { messages: [], hasMore: false });
  });

  for (const value of ["-1", "abc", "", "1.5"]) {
    test(`afterSeq=${value} is invalid`, async () => {
      assertProblem(await page(`?afterSeq=${value}`), 400, "invalid");
    });
  }
});

describe("GET chatbox", () => {
  for (const [name, other] of [
    ["plain", "bob"],
    ["spaces", "bob the builder"],
    ["a plus", "bob+1"],
    ["an at sign", "bob@example.org"],
    ["a slash", "team/bob"],
    ["a percent sign", "100%25"],
    ["a question mark and a hash", "who?#1"],
    ["dots", ".."],
    ["another script", "\u{1f600} \u05d0 日本"],
    ["a colon and quotes", `b:"'o`],
    ["a digit", "42"],
  ]) {
    test(`${name} in an id`, async () => {
      const { status, headers, text } = await node.raw("GET", `/api/chat/chatbox/me%20too/${path(other).replaceAll(".", "%2E")}`, {
        headers: { authorization: `Bearer ${node.token("me too")}` },
      });
      assert.equal(status, 200, text);
      assert.match(headers["content-type"], /^application\/json/);
      assert.deepEqual(JSON.parse(text), { chatboxId: chatOf("me too", other) });
    });
  }

  test("+ in a path is a plus", async () => {
    const { text } = await node.raw("GET", "/api/chat/chatbox/a+b/c", {
      headers: { authorization: `Bearer ${node.token("a+b")}` },
    });
    assert.deepEqual(JSON.parse(text), { chatboxId: "a+b_c" });
  });

  test("the order of the two does not matter", async () => {
    for (const pair of ["zoe/adam", "adam/zoe"]) {
      assert.deepEqual((await node.get(`/api/chat/chatbox/${pair}`, { as: "zoe" })).body, { chatboxId: "adam_zoe" });
    }
  });

  for (const bad of ["%00", "a%0Ab", "%7F", "%C2%85", "x".repeat(129), "%ZZ", "%", "%FF", "%ED%A0%80"]) {
    test(`${bad.slice(0, 12)} is invalid`, async () => {
      const { status, text } = await node.raw("GET", `/api/chat/chatbox/me/${bad}`, {
        headers: { authorization: `Bearer ${node.token("me")}` },
      });
      assert.equal(status, 400, text);
      assertHas(JSON.parse(text), { code: "invalid", message: /./ });
    });
  }

  test("of two others is forbidden, but for an admin", async () => {
    assertProblem(await node.get("/api/chat/chatbox/alice/bob", { as: "eve" }), 403, "forbidden");
    const token = node.token("root", { role: "admin" });
    assert.deepEqual((await node.get("/api/chat/chatbox/bob/alice", { token })).body, { chatboxId: "alice_bob" });
  });
});

describe("chats and counts", () => {
  const chats = async (user, query = "") => (await node.get(`/api/chat/user/${path(user)}/chats${query}`, { as: user })).body.chats;
  const unread = async (user) => (await node.get(`/api/chat/user/${path(user)}/unread-count`, { as: user })).body;

  test("the latest activity comes first, with its last message and unread count", async () => {
    const [alice, bob, carol] = [someone("alice"), someone("bob"), someone("carol")];
    const [fromBob, fromCarol] = await node.connectAll(bob, carol);
    await fromBob.send(alice, "one", { senderName: "Bob" });
    const { timestamp } = await fromCarol.send(alice, "two", { senderName: "Carol" });
    // What is of one millisecond has no order between chats.
    await eventually(() => new Date().toISOString() > timestamp, { every: 1 });
    const last = await fromBob.send(alice, "three", { senderName: "Bob" });

    assert.deepEqual(
      (await chats(alice)).map(({ chatboxId, otherUserId, unreadCount }) => ({ chatboxId, otherUserId, unreadCount })),
      [
        { chatboxId: chatOf(alice, bob), otherUserId: bob, unreadCount: 2 },
        { chatboxId: chatOf(alice, carol), otherUserId: carol, unreadCount: 1 },
      ],
    );
    const [newest] = await chats(alice);
    assertHas(newest.lastMessage, { message: "three", senderName: "Bob", timestamp: last.timestamp });
    assert.deepEqual((await chats(bob)).map(({ unreadCount }) => unreadCount), [0]);
    assert.deepEqual(await unread(alice), { unreadCount: 3 });
    assert.deepEqual(await unread(bob), { unreadCount: 0 });
    assert.equal((await chats(alice, "?limit=1")).length, 1);
  });

  test("a user without chats has empty ones", async () => {
    const user = someone();
    assert.deepEqual(await chats(user), []);
    assert.deepEqual(await unread(user), { unreadCount: 0 });
  });

  test("a notification alone makes no chat", async () => {
    const [alice, bob] = [someone(), someone()];
    const json = { toUser: bob, fromUser: alice, message: "psst" };
    assert.equal((await node.rest("POST", "/api/notifications/create", { as: alice, json })).status, 201);
    assert.deepEqual(await chats(bob), []);
  });

  test("one message marked read counts one less; mark-read empties the chat", async () => {
    const { alice, bob, chatboxId, sent } = await conversation(5);
    const [reader] = await node.connectAll(bob);
    await reader.ask("markMessageRead", { messageId: sent[3].messageId, chatboxId });
    await reader.ask("markMessageRead", { messageId: sent[3].messageId, chatboxId });
    assert.deepEqual(await unread(bob), { unreadCount: 4 });
    const read = async () =>
      (await node.get(`/api/chat/messages/${chatboxId}`, { as: alice })).body.messages.reverse().map((message) => message.read);
    assert.deepEqual(await read(), [false, false, false, true, false]);

    const mark = () => node.rest("PATCH", `/api/chat/chatbox/${chatboxId}/mark-read/${bob}`, { as: bob });
    for (let i = 0; i < 2; i += 1) {
      const { status, body } = await mark();
      assert.equal(status, 200);
      assertHas(body, { message: "Messages marked as read" });
    }
    assert.deepEqual(await unread(bob), { unreadCount: 0 });
    assert.equal((await chats(bob))[0].unreadCount, 0);
    assert.deepEqual(await read(), [true, true, true, true, true]);
    const { messages } = (await node.get(`/api/chat/messages/${chatboxId}`, { as: alice })).body;
    for (const message of messages) assertHas(message, { readAt: ISO, readBy: bob });
  });

  test("the sender's mark-read reads nothing of the receiver's", async () => {
    const { alice, bob, chatboxId } = await conversation(2);
    assert.equal((await node.rest("PATCH", `/api/chat/chatbox/${chatboxId}/mark-read/${alice}`, { as: alice })).status, 200);
    assert.deepEqual(await unread(bob), { unreadCount: 2 });
  });

  test("a chat may be marked before its first message", async () => {
    const user = someone();
    const response = await node.rest("PATCH", `/api/chat/chatbox/${chatOf(user, "zoe")}/mark-read/${user}`, { as: user });
    assert.equal(response.status, 200);
  });

  test("another's are forbidden, and an admin's to see", async () => {
    const { alice, bob, chatboxId } = await conversation(1);
    const eve = someone("eve");
    const routes = [
      ["GET", `/api/chat/user/${bob}/chats`],
      ["GET", `/api/chat/user/${bob}/unread-count`],
      ["PATCH", `/api/chat/chatbox/${chatboxId}/mark-read/${bob}`],
    ];
    for (const [method, url] of routes) {
      assertProblem(await node.rest(method, url, { as: eve }), 403, "forbidden");
      assertProblem(await node.rest(method, url, { as: alice }), 403, "forbidden");
      assertProblem(await node.rest(method, url, { token: node.token("robot", { role: "service" }) }), 403, "forbidden");
    }
    const strange = `/api/chat/chatbox/${chatboxId}/mark-read/${eve}`;
    assertProblem(await node.rest("PATCH", strange, { as: eve }), 403, "forbidden");
    for (const [method, url] of routes) {
      assert.equal((await node.rest(method, url, { token: node.token("root", { role: "admin" }) })).status, 200);
    }
  });
});
