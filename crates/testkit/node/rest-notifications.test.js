// The notification routes over REST: create, inbox, statistics, read, delete, cleanup.

import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { assertHas, assertProblem, ISO, OBJECT_ID } from "./assertions.js";
import { chatOf, someone } from "./carillon.js";
import { start } from "./topology.js";

let node;

before(async () => {
  node = await start();
});
after(() => node?.stop());

const DAY = 24 * 3600 * 1000;
const daysAgo = (days) => new Date(Date.now() - days * DAY).toISOString();
const CREATE = "/api/notifications/create";

const create = (as, json, options = {}) => node.rest("POST", CREATE, { as, json, ...options });
const inbox = async (user, query = "") =>
  (await node.get(`/api/notifications/user/${encodeURIComponent(user)}${query}`, { as: user })).body;
const stats = async (user) => (await node.get(`/api/notifications/user/${user}/stats`, { as: user })).body;
const role = (name) => ({ token: node.token(name, { role: name }) });

describe("POST create", () => {
  test("answers 201 with the notification, stored and delivered live to every socket of the receiver", async () => {
    const [alice, bob] = [someone("alice"), someone("bob")];
    const [phone, desk, sender] = await node.connectAll(bob, bob, alice);
    const metadata = { messageId: "any text", messagePreview: "x".repeat(100), priority: "high" };
    const { status, body } = await create(alice, {
      toUser: bob,
      fromUser: alice,
      message: "<b>hello</b>",
      type: "alert",
      metadata,
      unknown: "ignored",
    });

    assert.equal(status, 201);
    assertHas(body, { success: true, message: "Notification created successfully" });
    const { notification } = body;
    assertHas(notification, {
      notifId: OBJECT_ID,
      toUser: bob,
      fromUser: alice,
      message: "<b>hello</b>",
      type: "alert",
      read: false,
      createdAt: ISO,
      metadata,
    });
    const live = {
      type: "alert",
      fromUser: alice,
      fromUserId: alice,
      message: "<b>hello</b>",
      chatboxId: chatOf(alice, bob),
      timestamp: ISO,
      notifId: notification.notifId,
      _id: notification.notifId,
      metadata,
    };
    assertHas(await phone.next("notification"), live);
    assertHas(await desk.next("notification"), live);
    await sender.fence();
    assert.deepEqual(sender.all("notification"), []);

    const listed = await inbox(bob);
    assertHas(listed, { success: true, count: 1 });
    assertHas(listed.notifications[0], { ...notification, _id: notification.notifId, chatboxId: chatOf(alice, bob), fromUserId: alice });
  });

  test("defaults: type chat, priority medium, now", async () => {
    const user = someone();
    const { body } = await create(user, { toUser: "bob", fromUser: user, message: "m" });
    assertHas(body.notification, { type: "chat", metadata: { priority: "medium" } });
    assert.ok(Math.abs(Date.parse(body.notification.createdAt) - Date.now()) < 60_000);
  });

  test("unknown types and priorities count as the default", async () => {
    const user = someone();
    const { status, body } = await create(user, {
      toUser: "bob",
      fromUser: user,
      message: "m",
      type: "unheard of",
      metadata: { priority: "utmost" },
    });
    assert.equal(status, 201);
    assertHas(body.notification, { type: "chat", metadata: { priority: "medium" } });
  });

  test("createdAt is kept, one in the future counts as now", async () => {
    const user = someone();
    const past = "2020-02-03T04:05:06.007Z";
    const json = { toUser: "bob", fromUser: user, message: "m" };
    assert.equal((await create(user, { ...json, createdAt: past })).body.notification.createdAt, past);
    const { createdAt } = (await create(user, { ...json, createdAt: "2999-01-01T00:00:00.000Z" })).body.notification;
    assert.ok(Math.abs(Date.parse(createdAt) - Date.now()) < 60_000, createdAt);
  });

  test("senderId and receiverId decide the chat", async () => {
    const [alice, bob] = [someone("alice"), someone("bob")];
    const json = { toUser: bob, fromUser: alice, message: "m", senderId: bob, receiverId: alice };
    assert.equal((await create(alice, json)).status, 201);
    assert.equal((await inbox(bob)).notifications[0].chatboxId, chatOf(alice, bob));
    const service = { toUser: bob, fromUser: "System", message: "m", senderId: "carol", receiverId: bob };
    assert.equal((await create(undefined, service, role("service"))).status, 201);
    assert.equal((await inbox(bob)).notifications[1].chatboxId, chatOf("carol", bob));
  });

  const MISSING = "Missing required fields: toUser, fromUser, message";
  const whole = { toUser: "bob", fromUser: "writer", message: "m" };
  for (const field of Object.keys(whole)) {
    for (const value of [undefined, null, ""]) {
      test(`${field} that is ${JSON.stringify(value) ?? "absent"} is missing`, async () => {
        assertProblem(await create("writer", { ...whole, [field]: value }), 400, "invalid", MISSING);
      });
    }
  }
  for (const body of [[], null, 5, "text", true]) {
    test(`the body ${JSON.stringify(body)} holds no field`, async () => {
      assertProblem(await create("writer", body), 400, "invalid", MISSING);
    });
  }

  for (const [name, changes] of [
    ["a message of 501", { message: "x".repeat(501) }],
    ["a message that is an object", { message: { $gt: "" } }],
    ["a message that is a number", { message: 5 }],
    ["a receiver that is an operator", { toUser: { $ne: null } }],
    ["a receiver with a control character", { toUser: "a\u0000" }],
    ["a receiver of 129", { toUser: "x".repeat(129) }],
    ["a type that is an operator", { type: { $ne: 1 } }],
    ["a createdAt that is no date", { createdAt: "yesterday" }],
    ["a createdAt that is an object", { createdAt: {} }],
    ["metadata that is text", { metadata: "x" }],
    ["metadata that is a list", { metadata: [] }],
    ["a metadata messageId that is an operator", { metadata: { messageId: { $gt: "" } } }],
    ["a metadata messageId of 129", { metadata: { messageId: "x".repeat(129) } }],
    ["a preview of 101", { metadata: { messagePreview: "x".repeat(101) } }],
    ["a priority that is an object", { metadata: { priority: {} } }],
  ]) {
    test(`${name} is invalid`, async () => {
      assertProblem(await create("writer", { ...whole, ...changes }), 400, "invalid");
    });
  }

  test("250 emoji are 500 code units and pass; a number names a user", async () => {
    const user = someone();
    const { status, body } = await create(user, { toUser: 42, fromUser: user, message: "\u{1f600}".repeat(250) });
    assert.equal(status, 201);
    assert.equal(body.notification.toUser, "42");
  });

  test("a user creates only as itself; service and admin in any name", async () => {
    const [alice, bob, eve] = [someone("alice"), someone("bob"), someone("eve")];
    const json = { toUser: bob, fromUser: alice, message: "m" };
    assertProblem(await create(eve, json), 403, "forbidden");
    assertProblem(await create(alice, { ...json, senderId: eve }), 403, "forbidden");
    assertProblem(await create(alice, { ...json, receiverId: eve }), 403, "forbidden");
    assert.equal((await inbox(bob)).count, 0);
    for (const name of ["service", "admin"]) assert.equal((await create(undefined, json, role(name))).status, 201);
    assert.equal((await inbox(bob)).count, 2);
  });
});

describe("inbox and statistics", () => {
  test("the unread ones, oldest createdAt first; limit keeps the newest", async () => {
    const [alice, bob] = [someone("alice"), someone("bob")];
    for (const days of [1, 3, 2]) {
      await create(alice, { toUser: bob, fromUser: alice, message: `${days} days ago`, createdAt: daysAgo(days) });
    }
    const texts = (list) => list.notifications.map(({ message }) => message);
    const all = await inbox(bob);
    assert.deepEqual(texts(all), ["3 days ago", "2 days ago", "1 days ago"]);
    assert.equal(all.count, 3);
    assert.deepEqual(texts(await inbox(bob, "?limit=2")), ["2 days ago", "1 days ago"]);
    assertProblem(await node.get(`/api/notifications/user/${bob}?limit=0`, { as: bob }), 400, "invalid");
  });

  test("statistics count read and unread, and the chats of either", async () => {
    const [alice, bob, carol] = [someone("alice"), someone("bob"), someone("carol")];
    const empty = { totalNotifications: 0, unreadCount: 0, readCount: 0, activeChatboxes: 0 };
    assert.deepEqual(await stats(bob), { success: true, stats: empty });
    const { body } = await create(alice, { toUser: bob, fromUser: alice, message: "1" });
    await create(alice, { toUser: bob, fromUser: alice, message: "2" });
    await create(carol, { toUser: bob, fromUser: carol, message: "3" });
    const url = `/api/notifications/read/${chatOf(alice, bob)}/${body.notification.notifId}`;
    assert.equal((await node.rest("PATCH", url, { as: bob })).status, 200);
    const read = await node.rest("PATCH", `/api/notifications/read-all/${chatOf(carol, bob)}/${bob}`, { as: bob });
    assert.equal(read.status, 200);
    assert.deepEqual((await stats(bob)).stats, { totalNotifications: 3, unreadCount: 1, readCount: 2, activeChatboxes: 2 });
    assert.equal((await inbox(bob)).count, 1);
  });
});

describe("read, read-all, delete", () => {
  let alice;
  let bob;
  let chatboxId;
  const made = async () => (await create(alice, { toUser: bob, fromUser: alice, message: "m" })).body.notification.notifId;
  const read = (id, as = bob, chat = chatboxId) => node.rest("PATCH", `/api/notifications/read/${chat}/${id}`, { as });
  const readAll = (as = bob, chat = chatboxId, user = as) => node.rest("PATCH", `/api/notifications/read-all/${chat}/${user}`, { as });
  const remove = (id, as = bob, chat = chatboxId) => node.rest("DELETE", `/api/notifications/${chat}/${id}`, { as });
  const NOWHERE = "f".repeat(24);

  before(() => {
    [alice, bob] = [someone("alice"), someone("bob")];
    chatboxId = chatOf(alice, bob);
  });

  test("read answers the entry within the legacy envelope, twice", async () => {
    const notifId = await made();
    for (let i = 0; i < 2; i += 1) {
      const { status, body } = await read(notifId);
      assert.equal(status, 200);
      assertHas(body, { success: true, message: "Notification marked as read" });
      assertHas(body.notification, {
        chatboxId,
        users: (users) => [...users].sort().join() === [alice, bob].sort().join(),
        lastNotificationAt: ISO,
        isActive: (value) => typeof value === "boolean",
        createdAt: ISO,
        updatedAt: ISO,
      });
      assert.equal(body.notification.notifications.length, 1);
      assertHas(body.notification.notifications[0], { notifId, read: true, readAt: ISO, toUser: bob });
    }
    assert.ok(!(await inbox(bob)).notifications.some((entry) => entry.notifId === notifId));
  });

  test("unknown ones are not found, each route with its text", async () => {
    const notifId = await made();
    const notFound = (response, message) => {
      assertProblem(response, 404, "not_found", message);
      assert.equal(response.body.success, false);
    };
    notFound(await read(NOWHERE), "Notification not found");
    notFound(await read(notifId, bob, chatOf(bob, "carol")), "Notification not found");
    notFound(await remove(NOWHERE), "Notification or chat not found");
    notFound(await remove(notifId, bob, chatOf(bob, "carol")), "Notification or chat not found");
    notFound(await readAll(bob, chatOf(bob, "never written")), "Chatbox not found");
    notFound(await readAll(bob, "of-another-form"), "Chatbox not found");
  });

  test("read-all reads the caller's own in that chat", async () => {
    const other = someone("carol");
    await made();
    await made();
    await create(other, { toUser: bob, fromUser: other, message: "elsewhere" });
    const { status, body } = await readAll();
    assert.equal(status, 200);
    assertHas(body, { success: true, message: "All notifications marked as read" });
    assert.deepEqual((await inbox(bob)).notifications.map(({ message }) => message), ["elsewhere"]);
    assert.equal((await readAll()).status, 200);
  });

  test("a chat with messages only is known to read-all", async () => {
    const [one, two] = [someone(), someone()];
    const [client] = await node.connectAll(one);
    await client.send(two, "hi");
    assert.equal((await readAll(one, chatOf(one, two))).status, 200);
  });

  test("delete removes it once", async () => {
    const notifId = await made();
    const { status, body } = await remove(notifId);
    assert.equal(status, 200);
    assertHas(body, { success: true, message: "Notification deleted successfully" });
    assertProblem(await remove(notifId), 404, "not_found");
    assertProblem(await read(notifId), 404, "not_found");
  });

  test("a notification is its receiver's alone", async () => {
    const eve = someone("eve");
    const notifId = await made();
    for (const respond of [read, remove]) {
      assertProblem(await respond(notifId, eve), 403, "forbidden");
      const sender = await respond(notifId, alice);
      assert.ok([403, 404].includes(sender.status), sender.text);
    }
    assertProblem(await readAll(eve, chatboxId), 403, "forbidden");
    assertProblem(await readAll(eve, chatboxId, bob), 403, "forbidden");
    for (const url of [`/api/notifications/user/${bob}`, `/api/notifications/user/${bob}/stats`]) {
      assertProblem(await node.get(url, { as: alice }), 403, "forbidden");
    }
    assert.ok((await inbox(bob)).notifications.some((entry) => entry.notifId === notifId));
  });

  test("an admin reads and deletes in anybody's name", async () => {
    const notifId = await made();
    const admin = role("admin");
    const call = (method, url) => node.rest(method, url, admin);
    assert.equal((await call("GET", `/api/notifications/user/${bob}`)).status, 200);
    assert.equal((await call("GET", `/api/notifications/user/${bob}/stats`)).status, 200);
    assert.equal((await call("PATCH", `/api/notifications/read/${chatboxId}/${notifId}`)).status, 200);
    assert.equal((await call("PATCH", `/api/notifications/read-all/${chatboxId}/${bob}`)).status, 200);
    assert.equal((await call("DELETE", `/api/notifications/${chatboxId}/${notifId}`)).status, 200);
  });

  test("ids that are ambiguous stay apart", async () => {
    const stem = someone("p");
    const shared = `${stem}_q_r`;
    await create(stem, { toUser: "q_r", fromUser: stem, message: "first pair" });
    const { body } = await create("r", { toUser: `${stem}_q`, fromUser: "r", message: "second pair" });
    assert.equal((await readAll("q_r", shared)).status, 200);
    assert.equal((await inbox(`${stem}_q`)).count, 1);
    const { notifId } = body.notification;
    assert.ok([403, 404].includes((await remove(notifId, "q_r", shared)).status));
    assert.equal((await remove(notifId, `${stem}_q`, shared)).status, 200);
  });
});

describe("cleanup", () => {
  const URL = "/api/notifications/cleanup";
  const clean = (query = "", options = role("service")) => node.rest("DELETE", URL + query, options);

  test("removes what is older, read and unread alike, and counts it", async () => {
    const [alice, bob] = [someone("alice"), someone("bob")];
    await clean("?daysOld=1");
    const ids = [];
    for (const days of [40, 35, 20, 0]) {
      const createdAt = daysAgo(days);
      ids.push((await create(alice, { toUser: bob, fromUser: alice, message: `${days}`, createdAt })).body.notification.notifId);
    }
    await node.rest("PATCH", `/api/notifications/read/${chatOf(alice, bob)}/${ids[0]}`, { as: bob });

    const first = await clean();
    assert.equal(first.status, 200);
    assertHas(first.body, {
      success: true,
      message: "Cleaned up notifications older than 30 days",
      result: { acknowledged: true, matchedCount: 2, modifiedCount: 2, deletedCount: 2 },
    });
    assert.deepEqual((await inbox(bob)).notifications.map(({ message }) => message), ["20", "0"]);
    const second = await clean("?daysOld=10", role("admin"));
    assertHas(second.body, { message: "Cleaned up notifications older than 10 days", result: { deletedCount: 1 } });
    assert.equal((await stats(bob)).stats.totalNotifications, 1);
  });

  for (const query of [
    "?daysOld=0",
    "?daysOld=-5",
    "?daysOld=abc",
    "?daysOld=",
    "?daysOld=1.5",
    "?daysOld[$gt]=1",
    "?days=30",
    "?daysold=30",
    "?daysOld=30&force=1",
    "?daysOld=30&daysOld=1",
  ]) {
    test(`${query} is invalid`, async () => {
      assertProblem(await clean(query), 400, "invalid");
    });
  }

  test("is not a user's", async () => {
    assertProblem(await clean("", { as: "alice" }), 403, "forbidden");
    assertProblem(await clean("?daysOld=abc", { as: "alice" }), 403, "forbidden");
  });
});
