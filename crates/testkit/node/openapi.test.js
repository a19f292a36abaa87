// The description of the HTTP routes, held against a live node: every operation answers with every status that it says, and
// each answer is as it says. What only a failing store makes of a route, 500, is shown beside the routes' own code
// (`every_described_failure_of_the_store_is_answered`).

import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { assertHas } from "./assertions.js";
import { chatOf, run, someone, startNode } from "./carillon.js";
import { assertDescribed, assertExamples, description, operations, takes } from "./description.js";
import { freePort } from "./process.js";

const ORIGIN = "https://chat.example";

let node;
let waiting;
let limited;
let development;
let apart;

before(async () => {
  const [nowhere, healthPort] = await Promise.all([freePort(), freePort()]);
  [node, waiting, limited, development, apart] = await Promise.all([
    startNode({ env: { FRONTEND_URL: ORIGIN } }),
    // Its servers are not there, so it never gets ready.
    startNode({
      readiness: 503,
      env: { REDIS_URL: `redis://127.0.0.1:${nowhere}`, MONGODB_URI: `mongodb://127.0.0.1:${nowhere}/nowhere` },
    }),
    startNode({ env: { CARILLON_REQUEST_RATE: "1" } }),
    startNode({ args: ["--dev"], env: { JWT_SECRET: undefined, CARILLON_BIND: undefined } }),
    startNode({ env: { CARILLON_INTERNAL_PORT: String(healthPort) }, healthPort }),
  ]);
});
after(() => Promise.all([node, waiting, limited, development, apart].map((one) => one?.stop())));

const byId = Object.fromEntries(operations.map((operation) => [operation.id, operation]));
const LONG = "x".repeat(300);

/** The path of an operation, its parameters filled in; what is left over goes into the query. */
function pathOf({ template }, values = {}) {
  const query = new URLSearchParams(values);
  const path = template.replace(/\{(\w+)\}/g, (_, name) => {
    query.delete(name);
    return encodeURIComponent(values[name]);
  });
  return query.size === 0 ? path : `${path}?${query}`;
}

/** Asks a node for an operation; that the answer is as described, `rest` itself asserts. */
const call = (operation, { at = node, values, ...options } = {}) =>
  at.rest(operation.method, pathOf(operation, values), options);

/** Two users, a message and a notification from the second to the first. */
async function scene() {
  const [alice, bob] = [someone("alice"), someone("bob")];
  const sender = await node.connect(bob);
  await sender.send(alice, "hello");
  const json = { toUser: alice, fromUser: bob, message: "psst" };
  const { body } = await call(byId.createNotification, { as: bob, json });
  const chatboxId = chatOf(alice, bob);
  return { alice, bob, chatboxId, notifId: body.notification.notifId, values: { userId: alice, chatboxId } };
}

/** What an operation of the REST routes is asked so that it succeeds; `alice` may. */
const SUCCESS = {
  getMessages: ({ chatboxId }) => ({ values: { chatboxId } }),
  getChatboxId: ({ alice, bob }) => ({ values: { senderId: alice, receiverId: bob } }),
  listChats: ({ alice }) => ({ values: { userId: alice } }),
  countUnreadMessages: ({ alice }) => ({ values: { userId: alice } }),
  markChatRead: ({ values }) => ({ values }),
  listNotifications: ({ alice }) => ({ values: { userId: alice } }),
  getNotificationStats: ({ alice }) => ({ values: { userId: alice } }),
  createNotification: ({ alice, bob }) => ({ json: { toUser: bob, fromUser: alice, message: "hello" } }),
  markNotificationRead: ({ chatboxId, notifId }) => ({ values: { chatboxId, notifId } }),
  markNotificationsRead: ({ values }) => ({ values }),
  deleteNotification: ({ chatboxId, notifId }) => ({ values: { chatboxId, notifId } }),
  cleanUpNotifications: () => ({ token: node.token("robot", { role: "service" }), values: { daysOld: "30" } }),
};

/** How an operation is brought to a status. Each gets the operation, what would succeed, and the scene. */
const STATUS = {
  200: (operation, success) => call(operation, success),
  201: (operation, success) => call(operation, success),
  304: async (operation) => {
    const { headers } = await call(operation);
    return call(operation, { headers: { "if-none-match": headers.get("etag") } });
  },
  400: (operation, success) => {
    const wrong = operation.id === "cleanUpNotifications" ? { daysOld: "0" } : mapped(success.values, () => LONG);
    return call(operation, { ...success, values: wrong, json: success.json && {} });
  },
  401: (operation, success) => call(operation, { ...success, as: undefined, token: null }),
  403: (operation, success) => call(operation, { ...success, token: undefined, as: someone("eve") }),
  404: (operation, success, { alice }) => {
    if (!operation.operation.security) return call(operation, { at: apart });
    const unknown = { chatboxId: chatOf(alice, someone("nobody")), notifId: "0".repeat(24) };
    return call(operation, { ...success, values: { ...success.values, ...unknown } });
  },
  413: (operation, success) => call(operation, { ...success, json: { ...success.json, message: "x".repeat(1_000_001) } }),
  415: (operation, success) => call(operation, { ...success, headers: { "content-type": "text/plain" } }),
  429: async (operation, success) => {
    for (;;) {
      const answer = await call(operation, { ...success, at: limited });
      if (answer.status === 429) return answer;
    }
  },
  503: (operation, success) => call(operation, { ...success, at: waiting }),
};

const mapped = (object = {}, change) => Object.fromEntries(Object.keys(object).map((key) => [key, change(key)]));

for (const operation of operations) {
  describe(`${operation.method} ${operation.template}`, () => {
    for (const [status, response] of Object.entries(operation.operation.responses)) {
      // See above.
      if (status === "500") continue;
      test(`answers ${status}: ${response.description}`, async () => {
        const here = await scene();
        const success = operation.operation.security ? { as: here.alice, ...SUCCESS[operation.id](here) } : {};
        const answer = await STATUS[status](operation, success, here);
        assert.equal(answer.status, Number(status), answer.text);
        // These always have the same text. A node that is not ready has another than one whose store is away.
        const example = response.content?.["application/json"]?.example;
        if (["403", "404", "413", "415", "429"].includes(status)) assert.equal(answer.body.message, example.message);
      });
    }

    test("is refused under another method", async () => {
      assert.equal((await node.rest("PUT", pathOf(operation, mapped(parametersOf(operation), () => "x")))).status, 405);
    });

    test("has examples of the form that it describes", () => {
      assertExamples(operation);
    });
  });
}

const parametersOf = ({ operation }) =>
  Object.fromEntries((operation.parameters ?? []).filter((one) => one.in === "path").map(({ name }) => [name, ""]));

describe("history in its other forms", () => {
  test("an empty page, and what came after a number", async () => {
    const { alice, chatboxId } = await scene();
    const empty = await call(byId.getMessages, { as: alice, values: { chatboxId: chatOf(alice, someone("zoe")) } });
    assert.deepEqual(empty.body.messages, []);
    const later = await call(byId.getMessages, { as: alice, values: { chatboxId, afterSeq: "0" } });
    assert.equal(later.body.messages.length, 1);
    assert.ok(!("totalPages" in later.body));
  });
});

describe("the body of a notification", () => {
  const good = { toUser: "bob", fromUser: "alice", message: "m" };
  const bodies = [
    [good, 201],
    [{ ...good, toUser: 7 }, 201],
    [{ ...good, type: null, createdAt: "", metadata: "", senderId: "" }, 201],
    [{ ...good, type: "another", metadata: { messageId: 12, priority: "whatever", unknown: {} } }, 201],
    [{ ...good, createdAt: "2026-01-02T03:04:05+02:00" }, 201],
    [{ ...good, createdAt: "2026-01-02" }, 201],
    [{ ...good, createdAt: 1_790_000_000_000 }, 201],
    [{ ...good, message: "x".repeat(500) }, 201],
    [{ ...good, message: "x".repeat(501) }, 400],
    [{ ...good, message: "" }, 400],
    [{ ...good, message: 7 }, 400],
    [{ ...good, toUser: "x".repeat(129) }, 400],
    [{ ...good, toUser: "a\u0007" }, 400],
    [{ ...good, toUser: 1.5 }, 400],
    [{ ...good, toUser: { $ne: "" } }, 400],
    [{ ...good, type: 1 }, 400],
    [{ ...good, createdAt: "yesterday" }, 400],
    [{ ...good, metadata: [] }, 400],
    [{ ...good, metadata: { messagePreview: "x".repeat(101) } }, 400],
    [{ toUser: "bob", fromUser: "alice" }, 400],
    [[], 400],
  ];
  for (const [json, status] of bodies) {
    test(`${JSON.stringify(json).slice(0, 90)} is ${status === 201 ? "described and taken" : "neither"}`, async () => {
      const token = node.token("robot", { role: "service" });
      const answer = await call(byId.createNotification, { token, json });
      assert.equal(answer.status, status, answer.text);
      assert.equal(takes(byId.createNotification, json), status === 201);
    });
  }
});

describe("the check itself", () => {
  const headers = new Headers({ "content-type": "application/json" });
  const answer = (status, body, more = headers) => ({ status, headers: more, text: JSON.stringify(body) });
  const path = "/api/chat/user/alice/unread-count";

  test("passes what is described", () => {
    assertDescribed("GET", path, answer(200, { unreadCount: 0 }));
  });

  for (const [name, status, body, more] of [
    ["a status that is not described", 404, { message: "m", code: "not_found" }],
    ["a key that is not described", 200, { unreadCount: 0, more: 1 }],
    ["a missing key", 200, {}],
    ["a value of another type", 200, { unreadCount: "0" }],
    ["another code", 403, { message: "m", code: "invalid" }],
    ["a missing header", 429, { message: "m", code: "rate_limited", retryAfterMs: 1 }],
    ["another type of content", 200, { unreadCount: 0 }, new Headers({ "content-type": "text/plain" })],
  ]) {
    test(`finds ${name}`, () => {
      assert.throws(() => assertDescribed("GET", path, answer(status, body, more)), assert.AssertionError);
    });
  }

  test("finds a method that should have been refused", () => {
    assert.throws(() => assertDescribed("PUT", path, answer(200, {})), assert.AssertionError);
  });
});

describe("the document", () => {
  test("is served to anybody, from any node, as it is kept", async () => {
    const { status, headers, body } = await node.get("/openapi.json", { headers: { origin: ORIGIN } });
    assert.equal(status, 200);
    assert.deepEqual(body, description);
    assert.equal(headers.get("access-control-allow-origin"), ORIGIN);
    assert.equal(headers.get("cache-control"), "no-cache");
  });

  test("is printed by carillon openapi", async () => {
    const { code, output } = await run(["openapi"]);
    assert.equal(code, 0, output);
    assert.deepEqual(JSON.parse(output), description);
  });

  test("of a development node has its token route, which answers as described", async () => {
    const { paths } = await (await fetch(`${development.url}/openapi.json`)).json();
    const { responses } = paths["/dev/token"].post;
    assert.deepEqual(Object.keys(responses), ["200", "400", "403", "413", "415", "500"]);
    const { status, body } = await development.rest("POST", "/dev/token", { json: { userId: "alice" } });
    assert.equal(status, 200);
    const schema = responses[200].content["application/json"].schema.$ref;
    assert.equal(schema, "#/components/schemas/Minted");
    assert.deepEqual(Object.keys(body).sort(), ["expiresAt", "token"]);
  });

  test("no operation is left out of the tests above", () => {
    const secured = operations.filter(({ operation }) => operation.security).map(({ id }) => id);
    assert.deepEqual(secured.sort(), Object.keys(SUCCESS).sort());
  });
});

describe("the page", () => {
  test("is offered by a development node, under a strict policy", async () => {
    const page = await development.get("/docs");
    assert.equal(page.status, 200);
    assertHas(Object.fromEntries(page.headers), {
      "content-type": "text/html; charset=utf-8",
      "content-security-policy": /^default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self';/,
      "x-content-type-options": "nosniff",
    });
    for (const [, file] of page.text.matchAll(/(?:src|href)="([^"#]+)"/g)) {
      assert.equal((await fetch(new URL(file, `${development.url}/docs`))).status, 200, file);
    }
  });

  test("is not there otherwise", async () => {
    assert.equal((await node.get("/docs")).status, 404);
  });
});
