// The console in a real browser: two people talking, lost connections, several tabs, long histories, notifications.

import assert from "node:assert/strict";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, afterEach, before, describe, test } from "node:test";
import { rowOf as row, sendMany, startBrowser } from "./browser.js";
import { chatOf, someone, startNode } from "./carillon.js";
import { eventually, freePort } from "./process.js";
import { CuttableWay } from "./servers.js";

let node, browser;

before(async () => {
  [node, browser] = await Promise.all([startNode({ args: ["--dev"] }), startBrowser()]);
});
afterEach(() => browser.leave());
after(async () => {
  await browser?.stop();
  await node?.stop();
});

/** Somebody who is signed in. */
const signedIn = async (user, options, at = node) => (await browser.visit(at, options)).signIn(user);

/** The texts that are shown, in order. */
const shown = async (visitor) => (await visitor.messages()).map(({ text }) => text);

/** Does something of which an element tells for a while only: it is watched from before that on. */
const seenWhile = (visitor, selector, match, act) => Promise.all([visitor.text(selector, match), act()]);

/** Messages over the official client. */
const history = (from, to, count, senderName) => sendMany(node, from, to, count, senderName);

describe("two people", () => {
  test("talk: typing, sent and read marks, unread counts, the bell", async () => {
    const [ann, ben] = [someone("ann"), someone("ben")];
    const [alice, bob] = await Promise.all([signedIn(ann), signedIn(ben)]);
    await alice.chatWith(ben);
    await alice.text("#chat-presence", /^Online/);
    await alice.write("Hello, Bob");
    await alice.message("Hello, Bob", "sent");

    // Bob has not opened the chat: it waits.
    await bob.text(`${row(ann)} .badge`, /^1$/);
    await bob.text("#bell-count", /^1$/);
    await bob.until(() => document.title.startsWith("(1)"));
    assert.deepEqual(await alice.messages(), [{ text: "Hello, Bob", mine: true, mark: "sent" }]);

    await bob.press(`${row(ann)} button`);
    await bob.message("Hello, Bob");
    await alice.message("Hello, Bob", "read");
    await bob.gone(`${row(ann)} .badge`);
    await bob.gone("#bell-count");
    assert.equal((await node.get(`/api/chat/user/${ben}/unread-count`, { as: ben })).body.unreadCount, 0);

    await seenWhile(alice, "#typing", new RegExp(`^${ben} is typing`), () => bob.page.type("#text", "Hi"));
    await bob.page.keyboard.press("Enter");
    await alice.message("Hi");
    await alice.text("#typing", /^$/);
    await bob.message("Hi", "read");
    assert.deepEqual(await shown(alice), ["Hello, Bob", "Hi"]);

    await seenWhile(alice, "#typing", /typing/, () => bob.page.type("#text", "never sent"));
    await bob.page.$eval("#text", (field) => field.select());
    await bob.page.keyboard.press("Backspace");
    await alice.text("#typing", /^$/);

    await bob.close();
    await alice.text("#chat-presence", /^Last seen/);
  });

  test("text in any script, with lines and up to its limit, arrives as it was written", async () => {
    const [ann, ben] = [someone("ann"), someone("ben")];
    const [alice, bob] = await Promise.all([signedIn(ann), signedIn(ben)]);
    await alice.chatWith(ben);
    await bob.chatWith(ann);
    await alice.page.type("#text", "two");
    await alice.page.keyboard.down("Shift");
    await alice.page.keyboard.press("Enter");
    await alice.page.keyboard.up("Shift");
    await alice.write("lines");
    await bob.message("two\nlines");
    const long = "ش".repeat(500) + "é ".repeat(250).trim();
    for (const text of ["مرحبا بالعالم", "🔔👩‍👩‍👧 \u{1d54f}", long]) {
      await alice.page.$eval("#text", (field, text) => ((field.value = text), field.dispatchEvent(new Event("input"))), text);
      await alice.press("#send");
      await bob.message(text);
    }
    const direction = await bob.page.$$eval("#messages .text", (lines) => getComputedStyle(lines[1]).direction);
    assert.equal(direction, "rtl");
    await alice.page.$eval("#text", (field) => ((field.value = "x".repeat(1001)), field.dispatchEvent(new Event("input"))));
    await alice.text("#text-count", /^1 too many$/);
    assert.equal(await alice.page.$eval("#send", (button) => button.disabled), true);
  });
});

test("what the node refuses is shown as such, and can be tried again or given up", async () => {
  const alice = await signedIn(someone("ann"));
  await alice.page.$eval("#find-user", (field) => (field.value = "no\u0001id"));
  await alice.page.focus("#find-user");
  await alice.page.keyboard.press("Enter");
  await alice.text("#log-state", /could not be loaded/);
  await alice.press("#log-state button");
  await alice.write("to nobody");
  await alice.message("to nobody", "failed");
  await alice.text(".failure", /^Not sent: Failed to send message/);
  await alice.write("the next");
  await alice.message("the next", "failed");
  await alice.press(".failure button:nth-of-type(2)");
  await alice.until(() => document.querySelectorAll(".failure").length === 1);
  assert.deepEqual(await shown(alice), ["the next"]);
  await alice.press(".failure button");
  await alice.message("the next", "failed");
  // Signing out asks first.
  const asked = new Promise((resolve) => alice.page.once("dialog", (dialog) => (resolve(dialog.message()), dialog.accept())));
  await alice.press("#sign-out");
  assert.equal(await asked, "1 unsent message will be lost. Sign out?");
  await alice.visible("#user-id");
  assert.equal(await alice.ask(() => sessionStorage.getItem("carillon.outbox")), "[]");
});

describe("a lost connection", () => {
  let way;
  before(async () => {
    way = await CuttableWay.to({ host: "127.0.0.1", port: node.port });
  });
  after(() => way?.cut());

  test("is recovered with what was missed, and what was written meanwhile goes out once", async () => {
    const [ann, ben] = [someone("ann"), someone("ben")];
    const bob = await node.connect(ben);
    await bob.join(chatOf(ann, ben));
    const alice = await signedIn(ann, {}, { url: `http://127.0.0.1:${way.port}` });
    await alice.chatWith(ben);
    await bob.send(ann, "first", { senderName: "Ben" });
    await alice.message("first");

    await way.cut();
    await alice.text("#offline", /You are offline/);
    await alice.text("#connection-state", /^Offline/);
    await alice.write("offline 1");
    await alice.write("offline 2");
    await alice.message("offline 2", "waiting");
    await alice.text("#offline", /2 messages will be sent/);
    await bob.send(ann, "missed", { senderName: "Ben" });

    await way.mend();
    await alice.text("#connection-details", /· recovered$/);
    await alice.message("offline 2", "sent");
    await alice.text("#offline", /^$/);
    await bob.send(ann, "last", { senderName: "Ben" });
    await alice.message("last");
    assert.deepEqual(await shown(alice), ["first", "missed", "offline 1", "offline 2", "last"]);
    const { body } = await node.get(`/api/chat/messages/${chatOf(ann, ben)}?afterSeq=0`, { as: ann });
    assert.deepEqual(body.messages.map(({ message }) => message), ["first", "missed", "offline 1", "offline 2", "last"]);
  });

  test("loses nothing that was written before a reload, and doubles nothing whose confirmation was lost", async () => {
    const [ann, ben] = [someone("ann"), someone("ben")];
    const alice = await signedIn(ann, {}, { url: `http://127.0.0.1:${way.port}` });
    await alice.chatWith(ben);
    await way.cut();
    await alice.text("#offline", /You are offline/);
    await alice.write("stored already");
    await alice.write("only here");
    const [stored] = await alice.ask(() => JSON.parse(sessionStorage.getItem("carillon.outbox")));
    // As if the node had stored it and the answer had got lost.
    const twin = await node.connect(ann);
    const { clientMessageId, receiverId, message, senderName, receiverName } = stored;
    await twin.ask("sendMessage", { clientMessageId, receiverId, message, senderName, receiverName });
    await way.mend();
    await alice.page.reload();
    await alice.connected();
    await alice.message("only here", "sent");
    assert.deepEqual(await shown(alice), ["stored already", "only here"]);
    await alice.until(() => sessionStorage.getItem("carillon.outbox") === "[]");
    const { body } = await node.get(`/api/chat/messages/${chatOf(ann, ben)}`, { as: ann });
    assert.deepEqual(body.messages.map(({ message }) => message).reverse(), ["stored already", "only here"]);
  });

  test("to a node that is started anew comes back by itself, with what others wrote there before", async () => {
    const dataDir = await mkdtemp(join(tmpdir(), "carillon-console-"));
    const port = await freePort();
    let own = await startNode({ args: ["--dev"], dataDir, port });
    try {
      const [ann, ben] = [someone("ann"), someone("ben")];
      const alice = await signedIn(ann, {}, own);
      await alice.chatWith(ben);
      await alice.write("before");
      await alice.message("before", "sent");
      const first = await alice.text("#connection-node", /process \d+/);

      await own.process.stop("SIGKILL");
      await alice.text("#offline", /You are offline/);
      await alice.write("while it was down");
      await alice.message("while it was down", "waiting");
      own = await startNode({ args: ["--dev"], dataDir, port });
      const bob = await own.connect(ben);
      await bob.join(chatOf(ann, ben));
      await alice.text("#connection-details", /new session$/);
      await alice.message("while it was down", "sent");
      const marked = await own.get(`/api/chat/messages/${chatOf(ann, ben)}`, { as: ben });
      assert.deepEqual(marked.body.messages.map(({ message }) => message).reverse(), ["before", "while it was down"]);
      // Read marks reach the new session.
      for (const { _id } of marked.body.messages) await bob.ask("markMessageRead", { messageId: _id, chatboxId: chatOf(ann, ben) });
      await alice.message("before", "read");
      await alice.message("while it was down", "read");
      assert.deepEqual(await shown(alice), ["before", "while it was down"]);
      await alice.until((first) => document.querySelector("#connection-node").textContent !== first, first);
    } finally {
      await own.stop();
      await rm(dataDir, { recursive: true, force: true });
    }
  });

  test("messages over the limit wait their turn", async () => {
    const env = { CARILLON_MESSAGE_BURST: "2", CARILLON_MESSAGE_RATE: "4" };
    const slow = await startNode({ args: ["--dev"], env });
    try {
      const alice = await signedIn(someone("ann"), {}, slow);
      await alice.chatWith(someone("ben"));
      const texts = Array.from({ length: 8 }, (_, index) => `quick ${index}`);
      for (const text of texts) await alice.write(text);
      for (const text of texts) await alice.message(text, "sent");
      assert.deepEqual(await shown(alice), texts);
    } finally {
      await slow.stop();
    }
  });
});

test("what comes while the page comes up is counted once", async () => {
  const [ann, ben, eve] = [someone("ann"), someone("ben"), someone("eve")];
  const senders = await node.connectAll(ben, eve);
  const flood = async (sender) => {
    for (let number = 1; number <= 80; number += 1) await sender.send(ann, `message ${number}`, { senderName: "Sender" });
  };
  const [alice] = await Promise.all([signedIn(ann), ...senders.map(flood)]);
  for (const user of [ben, eve]) {
    await alice.text(`${row(user)} .badge`, /^80$/);
    await alice.text(`${row(user)} .preview`, /^message 80$/);
  }
  await alice.text("#bell-count", /^160$/);
});

describe("several tabs", () => {
  test("are several devices: each sees what the other sends and reads", async () => {
    const [ann, ben] = [someone("ann"), someone("ben")];
    const one = await signedIn(ann);
    const two = await (await one.anotherTab()).signIn(ann);
    const bob = await node.connect(ben);
    await one.page.bringToFront();
    await one.chatWith(ben);
    // It follows the chat, open or not, once that has been open.
    await two.page.bringToFront();
    await two.text("#online", new RegExp(ben));
    await two.chatWith(ben);
    await two.ask(() => history.back());
    await two.visible("#welcome");
    await one.page.bringToFront();
    await one.write("from one tab");
    await one.message("from one tab", "sent");
    await two.text(`${row(ben)} .preview`, /^You: from one tab$/);
    await one.page.evaluate(() => history.back());
    await one.visible("#welcome");

    await bob.send(ann, "for both", { senderName: "Ben" });
    for (const tab of [one, two]) await tab.text(`${row(ben)} .badge`, /^1$/);
    await two.page.bringToFront();
    await two.press(`${row(ben)} button`);
    await two.message("for both");
    await one.gone(`${row(ben)} .badge`);
    assert.deepEqual(await shown(two), ["from one tab", "for both"]);
  });
});

test("a chat that is opened while it is being joined shows what another device sends meanwhile", async () => {
  const [ann, ben] = [someone("ann"), someone("ben")];
  const alice = await browser.visit(node);
  // What joins the chat is held back until it is let go.
  await alice.ask((chat) => {
    const { send } = WebSocket.prototype;
    const held = [];
    WebSocket.prototype.send = function (text) {
      if (text.includes("joinChat") && text.includes(chat)) held.push(() => send.call(this, text));
      else send.call(this, text);
    };
    window.letGo = () => held.forEach((go) => go());
  }, chatOf(ann, ben));
  await alice.signIn(ann);
  const desk = await node.connect(ann);
  await node.connect(ben);
  await alice.text("#online", new RegExp(ben));
  await alice.page.type("#find-user", ben);
  await alice.page.keyboard.press("Enter");
  await alice.visible("#chat");
  await desk.send(ben, "from elsewhere");
  await alice.ask(() => window.letGo());
  await alice.message("from elsewhere");
});

describe("a long history", () => {
  test("is loaded as it is scrolled through, with what is read in its place", async () => {
    const [ann, ben] = [someone("ann"), someone("ben")];
    await history(ben, ann, 180, "Ben");
    await history(ann, ben, 120, "Ann");
    const alice = await signedIn(ann);
    await alice.text(`${row(ben)} .badge`, /^180$/);
    await alice.press(`${row(ben)} button`);
    await alice.message("message 120");
    // Opening it reads all of it, also what is not loaded.
    await alice.gone(`${row(ben)} .badge`);
    await alice.until(() => {
      const log = document.querySelector("#log");
      return log.scrollHeight - log.scrollTop - log.clientHeight < 2;
    });
    assert.equal((await alice.messages()).length, 50);

    // At the top more comes above, and what is read does not move.
    const before = await alice.ask(() => {
      const log = document.querySelector("#log");
      log.scrollTop = 200;
      const seen = document.querySelector("#messages .message");
      seen.dataset.watched = "";
      return seen.getBoundingClientRect().top;
    });
    await alice.until(() => document.querySelectorAll("#messages .message").length >= 100);
    const now = await alice.page.$eval("[data-watched]", (element) => element.getBoundingClientRect().top);
    assert.ok(Math.abs(now - before) < 2, `it moved from ${before} to ${now}`);

    await alice.until(() => {
      document.querySelector("#log").scrollTop = 0;
      return document.querySelectorAll("#messages .message").length === 300;
    });
    await alice.text("#older", /where the chat begins/);
    const expected = [180, 120].flatMap((count) => Array.from({ length: count }, (_, index) => `message ${index + 1}`));
    assert.deepEqual(await shown(alice), expected);

    // Who reads old messages is not pulled away by new ones.
    const bob = await node.connect(ben);
    await alice.page.$eval("#log", (log) => (log.scrollTop = 500));
    await alice.visible("#to-end");
    await bob.send(ann, "a new one", { senderName: "Ben" });
    await alice.text("#to-end-label", /^1 new message$/);
    assert.equal(await alice.page.$eval("#log", (log) => log.scrollTop), 500);
    await alice.text(`${row(ben)} .badge`, /^1$/);
    await alice.press("#to-end");
    await alice.gone(`${row(ben)} .badge`);
  });
});

describe("notifications", () => {
  test("are listed with their counts, opened, marked and deleted", async () => {
    const [ann, ben, eve] = [someone("ann"), someone("ben"), someone("eve")];
    await history(ben, ann, 2, "Ben");
    const alice = await signedIn(ann);
    await alice.text("#bell-count", /^2$/);
    const create = (fromUser, message, type) =>
      node.rest("POST", "/api/notifications/create", { as: fromUser, json: { toUser: ann, fromUser, message, type } });
    await seenWhile(alice, ".toasts", /the disk is full/, () => create(eve, "the disk is full", "alert"));
    await create(eve, "an update", "system");
    await alice.text("#bell-count", /^4$/);

    const numbers = () => alice.page.$$eval(".statistics dd", (cells) => cells.map(({ textContent }) => Number(textContent)));
    await alice.press("#bell");
    await alice.until(() => document.querySelectorAll(".notification").length === 4);
    await alice.text("#stat-chats", /^2$/);
    assert.deepEqual(await numbers(), [4, 0, 4, 2]);
    await alice.press(".notification [title='Mark as read']");
    await alice.text("#stat-read", /^1$/);
    await alice.press(".notification [title='Delete']");
    await alice.text("#stat-total", /^3$/);
    assert.deepEqual(await numbers(), [2, 1, 3, 2]);
    // One of a message leads to its chat, which reads it.
    await alice.press(".notification .body");
    await alice.message("message 2");
    await alice.gone("#bell-count");
    const stats = async () => (await node.get(`/api/notifications/user/${ann}/stats`, { as: ann })).body.stats;
    await eventually(async () => (await stats()).unreadCount === 0, { what: "no unread notification" });
    assert.deepEqual(await stats(), { totalNotifications: 3, unreadCount: 0, readCount: 3, activeChatboxes: 2 });

    await create(eve, "once more", "system");
    await alice.text("#bell-count", /^1$/);
    await alice.press("#bell");
    await alice.press("#read-all");
    await alice.text("#inbox-empty", /You have read everything/);
    await alice.gone("#bell-count");
  });
});
