// The console as a page in a real browser: what it is served with, what it keeps and shows, a phone, keyboard, screen reader, colours.

import assert from "node:assert/strict";
import { after, afterEach, before, describe, test } from "node:test";
import { DESKTOP, PHONE, rowOf as row, sendMany, startBrowser } from "./browser.js";
import { someone, startNode } from "./carillon.js";

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

/** Messages over the official client. */
const history = (from, to, count, senderName) => sendMany(node, from, to, count, senderName);

describe("what is served", () => {
  test("the page and its files come with what protects them", async () => {
    for (const [path, type] of [["/", "text/html"], ["/console/app.js", "text/javascript"], ["/console/styles/base.css", "text/css"]]) {
      const { status, headers } = await node.get(path);
      assert.equal(status, 200);
      assert.match(headers.get("content-type"), new RegExp(`^${type}; charset=utf-8`));
      const policy = headers.get("content-security-policy");
      assert.match(policy, /^default-src 'none'; script-src 'self'; style-src 'self';/);
      assert.match(policy, /frame-ancestors 'none'; base-uri 'none'; form-action 'none'/);
      assert.doesNotMatch(policy, /unsafe|\*|https?:/);
      assert.equal(headers.get("x-content-type-options"), "nosniff");
      assert.equal(headers.get("referrer-policy"), "no-referrer");
      assert.equal(headers.get("cache-control"), "no-cache");
      const again = await node.get(path, { headers: { "if-none-match": headers.get("etag") } });
      assert.deepEqual([again.status, again.text], [304, ""]);
    }
  });

  test("outside of development there is none unless it is asked for, and then only for those with a token", async () => {
    const off = await startNode();
    try {
      for (const path of ["/", "/console/app.js", "/console/node.json"]) {
        const { status, body } = await off.get(path);
        assert.deepEqual([status, body.code], [404, "not_found"]);
      }
    } finally {
      await off.stop();
    }
    const on = await startNode({ env: { CARILLON_CONSOLE: "on" } });
    try {
      assert.deepEqual((await on.get("/console/node.json")).body, { development: false, userClaim: "userId" });
      const visitor = await browser.visit(on);
      await visitor.visible("#token");
      assert.equal(await visitor.page.$eval("#sign-in-user", (form) => form.hidden), true);
      await visitor.page.type("#token", "no.token.here");
      await visitor.press("#sign-in-token button");
      await visitor.text("#sign-in-error", /no token that names a user/);
      await visitor.page.$eval("#token", (field) => (field.value = ""));
      await visitor.page.type("#token", on.token("alice").replace(/.$/, (last) => (last === "A" ? "B" : "A")));
      await visitor.press("#sign-in-token button");
      await visitor.text("#sign-in-error", /signed out: (Authentication failed|Invalid token)/);
      await visitor.page.type("#token", on.token("alice"));
      await visitor.press("#sign-in-token button");
      await visitor.connected();
      await visitor.text("#me-name", /^alice$/);
      assert.equal(await visitor.page.$eval("#connection-node", (element) => element.textContent), "");
    } finally {
      await on.stop();
    }
  });
});

test("markup stays text, in messages, names and notifications", async () => {
  const [ann, ben] = ["<img src=x onerror=alert(1)>", someone("ben")];
  const markup = "<script>document.title='broken'</script><img src=x onerror=\"document.title='broken'\">&amp;";
  const bob = await signedIn(ben);
  const dialogs = [];
  bob.page.on("dialog", (dialog) => (dialogs.push(dialog.message()), dialog.dismiss()));
  const sender = await node.connect(ann);
  await sender.send(ben, markup, { senderName: "<b>Ann</b><script>alert(2)</script>" });
  await node.rest("POST", "/api/notifications/create", {
    as: ann,
    json: { toUser: ben, fromUser: ann, message: markup, type: "alert" },
  });
  // It stays as long as the focus is on it.
  await bob.until(() => {
    const close = document.querySelector(".toast button");
    close?.focus();
    return close !== null;
  });
  await bob.text(".toast", /<script>/);
  await bob.press(".toast button");
  await bob.text("#chats .badge", /^1$/);
  await bob.press("#chats button");
  await bob.message(markup);
  await bob.text("#chat-name", /^<b>Ann<\/b><script>alert\(2\)<\/script>$/);
  await bob.text("#chat-presence", /<img src=x onerror/);
  await bob.press("#bell");
  await bob.text("#notifications", /<script>document/);
  await bob.gone("#chats .badge");
  assert.deepEqual(
    await bob.ask(() => [document.querySelectorAll("body script, #console img[src=x], #inbox img, .message b").length, document.title]),
    [0, "Carillon"],
  );
  assert.deepEqual(dialogs, []);
  assert.deepEqual(bob.complaints, []);
  await assert.rejects(bob.ask(() => (document.body.innerHTML = "<p>")), /TrustedHTML/);
});

describe("the token", () => {
  test("lies in the tab's session alone and is in no address", async () => {
    const visitor = await signedIn(someone());
    await visitor.chatWith(someone());
    await visitor.write("anything");
    await visitor.message("anything", "sent");
    const { session, local, cookie, address } = await visitor.ask(() => ({
      session: JSON.parse(sessionStorage.getItem("carillon.session")).token,
      local: localStorage.length,
      cookie: document.cookie,
      address: location.href + JSON.stringify(history.state),
    }));
    assert.match(session, /^[\w-]+\.[\w-]+\.[\w-]+$/);
    assert.deepEqual([local, cookie], [0, ""]);
    const [, , signature] = session.split(".");
    assert.ok(visitor.urls.some((url) => url.startsWith("ws:")), "no WebSocket was seen");
    for (const url of [...visitor.urls, address]) assert.ok(!url.includes(signature) && !/token=|eyJ/.test(url), url);
    assert.deepEqual(visitor.complaints, []);

    await visitor.press("#sign-out");
    await visitor.visible("#user-id");
    assert.equal(await visitor.ask(() => sessionStorage.getItem("carillon.session")), null);
    assert.equal(await visitor.page.$$eval("#messages .message", ({ length }) => length), 0);
  });
});

describe("on a phone", () => {
  test("list and chat take turns, all in sight and large enough for a finger", async () => {
    const [ann, ben] = [someone("ann"), someone("ben")];
    await history(ben, ann, 3, "A name that is far too long for the head of a chat on any phone");
    const alice = await signedIn(ann, { viewport: PHONE });
    const fits = () =>
      alice.ask(() => {
        const wide = document.documentElement.scrollWidth > innerWidth;
        const small = [...document.querySelectorAll("button")]
          .map((button) => [button.id, button.getBoundingClientRect()])
          .filter(([, { width, height }]) => width > 0 && (width < 34 || height < 34))
          .map(([id]) => id);
        return { wide, small };
      });
    assert.equal(await alice.page.$eval("#conversation", (part) => part.clientHeight), 0);
    assert.deepEqual(await fits(), { wide: false, small: [] });
    await alice.press(`${row(ben)} button`);
    await alice.message("message 3");
    assert.equal(await alice.page.$eval("#sidebar", (part) => part.clientHeight), 0);
    assert.deepEqual(await fits(), { wide: false, small: [] });
    await alice.press("#text");
    await alice.page.type("#text", "from a phone");
    await alice.press("#send");
    await alice.message("from a phone", "sent");
    const box = await (await alice.page.$("#composer")).boundingBox();
    assert.ok(box.y + box.height <= PHONE.height, JSON.stringify(box));
    await alice.press("#back");
    await alice.text(`${row(ben)} .preview`, /^You: from a phone$/);
    await alice.visible("#sidebar");
    // The phone's own way back leads to the list as well.
    await alice.press(`${row(ben)} button`);
    await alice.visible("#chat");
    await alice.page.goBack();
    await alice.visible("#sidebar");
  });
});

describe("for everybody", () => {
  test("the keyboard alone is enough", async () => {
    const [ann, ben] = [someone("ann"), someone("ben")];
    await history(ben, ann, 1, "Ben");
    const visitor = await browser.visit(node);
    const { keyboard } = visitor.page;
    const focused = () => visitor.ask(() => document.activeElement.id || document.activeElement.className);
    await visitor.until(() => document.activeElement.id === "user-id");
    await keyboard.type(ann);
    await keyboard.press("Tab");
    assert.equal(await focused(), "user-name");
    await keyboard.press("Enter");
    await visitor.connected();
    await visitor.visible("#chats .row");
    const order = [];
    while (order.at(-1) !== "row" && order.length < 10) {
      await keyboard.press("Tab");
      order.push(await focused());
    }
    assert.deepEqual(order, ["bell", "sign-out", "find-user", "row"]);
    await keyboard.press("Enter");
    await visitor.message("message 1");
    assert.equal(await focused(), "text");
    await keyboard.type("by keyboard");
    await keyboard.press("Enter");
    await visitor.message("by keyboard", "sent");

    // The inbox takes the focus, keeps it, and gives it back.
    await visitor.page.focus("#bell");
    await keyboard.press("Enter");
    await visitor.visible("#inbox");
    assert.equal(await visitor.ask(() => document.querySelector("#inbox").contains(document.activeElement)), true);
    await keyboard.press("Escape");
    await visitor.gone("#inbox");
    assert.equal(await focused(), "bell");
  });

  test("everything that can be used has a role and a name", async () => {
    const [ann, ben] = [someone("ann"), someone("ben")];
    await history(ben, ann, 2, "Ben");
    const alice = await signedIn(ann);
    const names = async () => {
      const found = [];
      const walk = ({ role, name, children = [] }) => {
        found.push({ role, name: name ?? "" });
        children.forEach(walk);
      };
      walk(await alice.page.accessibility.snapshot({ interestingOnly: true }));
      const unnamed = found.filter(({ role, name }) => ["button", "textbox", "searchbox", "dialog", "heading", "log"].includes(role) && name === "");
      assert.deepEqual(unnamed, []);
      return found.map(({ role, name }) => `${role} ${name}`);
    };
    await alice.text("#bell-count", /^2$/);
    await alice.text(`${row(ben)} .badge`, /^2$/);
    const list = await names();
    assert.ok(list.includes("button Notifications, 2 unread"), list.join("\n"));
    assert.ok(list.some((line) => line.startsWith("button ben") && line.endsWith(", 2 unread")), list.join("\n"));
    await alice.press(`${row(ben)} button`);
    await alice.message("message 2");
    const chat = await names();
    for (const expected of ["log Ben", "textbox Message", "button Send", "heading Ben", "button Sign out"]) {
      assert.ok(chat.includes(expected), `${expected} in\n${chat.join("\n")}`);
    }
    const bob = await node.connect(ben);
    await bob.send(ann, "hear me", { senderName: "Ben" });
    await alice.text("#announcer[aria-live=polite]", /^Ben: hear me/);
    await alice.press("#bell");
    await alice.visible("#inbox");
    assert.ok((await names()).includes("dialog Notifications"));
  });

  for (const scheme of ["light", "dark"]) {
    test(`texts stand out from their ground in ${scheme} colours`, async () => {
      const [ann, ben] = [someone("ann"), someone("ben")];
      await history(ben, ann, 1, "Ben");
      const alice = await signedIn(ann, { viewport: DESKTOP, media: { "prefers-color-scheme": scheme } });
      await history(someone("eve"), ann, 1, "Eve");
      await alice.press(`${row(ben)} button`);
      await alice.message("message 1");
      await alice.write("mine");
      await alice.message("mine", "sent");
      const poor = await alice.ask(() => {
        const channels = (colour) => colour.match(/[\d.]+/g).map(Number);
        const luminance = (rgb) => {
          const [r, g, b] = rgb.map((value) => (value / 255 <= 0.04045 ? value / 255 / 12.92 : ((value / 255 + 0.055) / 1.055) ** 2.4));
          return 0.2126 * r + 0.7152 * g + 0.0722 * b;
        };
        const ground = (element) => {
          for (let at = element; at; at = at.parentElement) {
            const colour = channels(getComputedStyle(at).backgroundColor);
            if (colour[3] !== 0) return colour.slice(0, 3);
          }
          return [255, 255, 255];
        };
        const poor = [];
        for (const element of document.querySelectorAll("#console *")) {
          const isText = [...element.childNodes].some((child) => child.nodeType === 3 && child.textContent.trim() !== "");
          if (!isText || element.closest(".hidden-text") || element.getClientRects().length === 0) continue;
          const [one, two] = [luminance(channels(getComputedStyle(element).color).slice(0, 3)), luminance(ground(element))];
          const ratio = (Math.max(one, two) + 0.05) / (Math.min(one, two) + 0.05);
          if (ratio < 4.5) poor.push(`${element.className || element.id} ${ratio.toFixed(2)}`);
        }
        return poor;
      });
      assert.deepEqual(poor, []);
      const background = await alice.ask(() => getComputedStyle(document.body).backgroundColor);
      assert.equal(background, scheme === "dark" ? "rgb(17, 19, 26)" : "rgb(243, 244, 248)");
    });
  }

  test("nothing jumps while the page comes up", async () => {
    const [ann, ben] = [someone("ann"), someone("ben")];
    await history(ben, ann, 30, "Ben");
    const alice = await signedIn(ann);
    await alice.press(`${row(ben)} button`);
    await alice.message("message 30");
    await alice.page.evaluateOnNewDocument(() => {
      window.shifts = 0;
      new PerformanceObserver((list) => {
        for (const { value } of list.getEntries()) window.shifts += value;
      }).observe({ type: "layout-shift", buffered: true });
    });
    await alice.page.reload();
    await alice.connected();
    await alice.message("message 30");
    await alice.text("#bell-label", /^Notifications$/);
    // What Chromium's guide calls good is 0.1 and less.
    const shifts = await alice.ask(() => window.shifts);
    assert.ok(shifts < 0.1, `shifts add up to ${shifts}`);
  });
});
