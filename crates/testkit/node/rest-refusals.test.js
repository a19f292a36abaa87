// What every route refuses, in which order, and that each refusal is JSON with a message and a code.

import assert from "node:assert/strict";
import { connect } from "node:net";
import { after, before, describe, test } from "node:test";
import { assertHas, assertProblem } from "./assertions.js";
import { startNode } from "./carillon.js";
import { mint, seconds, unsigned } from "./token.js";
import { describeOneNode, start } from "./topology.js";
import { within } from "./wire.js";

let node;

before(async () => {
  node = await start();
});
after(() => node?.stop());

const ID = "f".repeat(24);
const ROUTES = [
  ["GET", "/api/chat/messages/alice_bob"],
  ["GET", "/api/chat/chatbox/alice/bob"],
  ["GET", "/api/chat/user/alice/chats"],
  ["GET", "/api/chat/user/alice/unread-count"],
  ["PATCH", "/api/chat/chatbox/alice_bob/mark-read/alice"],
  ["GET", "/api/notifications/user/alice"],
  ["GET", "/api/notifications/user/alice/stats"],
  ["POST", "/api/notifications/create"],
  ["PATCH", `/api/notifications/read/alice_bob/${ID}`],
  ["PATCH", "/api/notifications/read-all/alice_bob/alice"],
  ["DELETE", `/api/notifications/alice_bob/${ID}`],
  ["DELETE", "/api/notifications/cleanup"],
];
const CREATE = "/api/notifications/create";

for (const [method, path] of ROUTES) {
  describe(`${method} ${path}`, () => {
    test("without a token", async () => {
      assertProblem(await node.rest(method, path), 401, "unauthorized", "Access denied, no token provided");
    });

    for (const [name, token] of [
      ["garbage", "garbage"],
      ["another secret's", mint({ userId: "alice" }, "y".repeat(40))],
      ["an expired", () => node.token("alice", { exp: seconds(-30) })],
      ["a not yet valid", () => node.token("alice", { nbf: seconds(30) })],
      ["an unsigned", unsigned({ userId: "alice", role: "admin" })],
      ["an operator's", () => node.token({ $ne: null })],
    ]) {
      test(`with ${name} token`, async () => {
        const response = await node.rest(method, path, { token: typeof token === "function" ? token() : token });
        assertProblem(response, 401, "unauthorized", "Invalid token");
      });
    }

    test("with the token in the URL", async () => {
      const response = await node.rest(method, `${path}?token=${node.token("alice", { role: "admin" })}`);
      assertProblem(response, 401, "unauthorized");
    });

    test("with another method, whatever the token", async () => {
      assertProblem(await node.rest("PUT", path), 405, "method_not_allowed");
      assertProblem(await node.rest("PUT", path, { as: "alice" }), 405, "method_not_allowed");
    });

    test("another's, before its values are looked at", async () => {
      if (path === CREATE) return;
      const response = await node.rest(method, `${path}?page=abc&daysOld=abc&limit=abc`, { as: "eve" });
      assertProblem(response, 403, "forbidden");
    });
  });
}

describe("unknown routes", () => {
  for (const path of ["/", "/api", "/api/", "/nowhere", "/api/chat", "/api/chat/messages", "/api/notifications", "/api/chat/user/alice", "/a/../b", "/%2e%2e/etc/passwd", "/index.php?x=1"]) {
    for (const method of ["GET", "POST", "DELETE"]) {
      test(`${method} ${path}`, async () => {
        const { status, headers, text } = await node.raw(method, path);
        assert.equal(status, 404, text);
        assert.match(headers["content-type"], /^application\/json/);
        assertHas(JSON.parse(text), { code: "not_found", message: /./ });
      });
    }
  }
});

describe("bodies", () => {
  const json = { "content-type": "application/json" };
  const post = (body, headers = json, as = "alice") => node.rest("POST", CREATE, { as, body, headers });
  const good = { toUser: "bob", fromUser: "alice", message: "m" };

  for (const body of ["", "{", "{'a':1}", "nul", '{"toUser":"bob",}', '{"a":1}}', "\u0000", "[".repeat(100_000), '{"toUser":'.repeat(10_000)]) {
    test(`no JSON: ${JSON.stringify(body.slice(0, 20))} of ${body.length}`, async () => {
      assertProblem(await post(body), 400, "invalid");
    });
  }

  test("bytes that are no UTF-8", async () => {
    const bytes = Buffer.concat([Buffer.from('{"toUser":"'), Buffer.from([0xff, 0xfe]), Buffer.from('"}')]);
    assertProblem(await post(bytes), 400, "invalid");
  });

  test("half a surrogate pair is replaced or refused", async () => {
    const response = await post('{"toUser":"bob","fromUser":"alice","message":"a\\ud83d"}');
    if (response.status === 201) assert.equal(response.body.notification.message, "a\ufffd");
    else assertProblem(response, 400, "invalid");
  });

  test("a key given twice is no server fault", async () => {
    const response = await post('{"toUser":"bob","toUser":"eve","fromUser":"alice","message":"m"}');
    if (response.status === 201) assert.equal(response.body.notification.toUser, "eve");
    else assertProblem(response, 400, "invalid");
  });

  test("keys of the prototype are keys like others", async () => {
    const response = await post('{"__proto__":{"x":1},"constructor":{},"toUser":"bob","fromUser":"alice","message":"m"}');
    assert.equal(response.status, 201, response.text);
  });

  for (const type of ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", "application/xml"]) {
    test(`the content type ${type}`, async () => {
      assertProblem(await post(JSON.stringify(good), { "content-type": type }), 415, "unsupported_media_type");
    });
  }

  test("a charset beside application/json is taken", async () => {
    const response = await post(JSON.stringify(good), { "content-type": "application/json; charset=utf-8" });
    assert.equal(response.status, 201, response.text);
  });

  test("2 MiB is too large, and the answer can be read", async () => {
    const body = JSON.stringify({ ...good, message: "x".repeat(2 * 1024 * 1024) });
    assertProblem(await post(body), 413, "too_large");
  });

  test("2 MiB in chunks without a length is too large", async () => {
    const socket = connect(node.port, "127.0.0.1");
    let answer = "";
    socket.setEncoding("utf8").on("data", (text) => (answer += text));
    const closed = new Promise((resolve) => socket.on("close", resolve).on("error", resolve));
    const chunk = `10000\r\n${"x".repeat(65_536)}\r\n`;
    socket.write(
      `POST ${CREATE} HTTP/1.1\r\nhost: 127.0.0.1:${node.port}\r\nauthorization: Bearer ${node.token("alice")}\r\n` +
        "content-type: application/json\r\ntransfer-encoding: chunked\r\nconnection: close\r\n\r\n",
    );
    for (let i = 0; i < 32; i += 1) socket.write(chunk);
    socket.write("0\r\n\r\n");
    await within(closed, "the end of the connection");
    assert.match(answer, /^HTTP\/1\.1 413 /);
    assert.match(answer, /"code":"too_large"/);
  });

  test("just under the limit the body is read, and its message found too long", async () => {
    const body = JSON.stringify({ ...good, message: "x".repeat(990_000) });
    assertProblem(await post(body), 400, "invalid");
  });

  test("the token is looked at before the body", async () => {
    const broken = { body: "{", headers: json };
    assertProblem(await node.rest("POST", CREATE, broken), 401, "unauthorized");
    assertProblem(await node.rest("POST", CREATE, { body: "x", headers: { "content-type": "text/plain" } }), 401, "unauthorized");
  });
});

describeOneNode("the quota of an address", () => {
  // So few that a busy machine makes more of them.
  test("more than 100 requests in a second are refused with the time to wait, where so many are allowed", async () => {
    const limited = await startNode({ env: { CARILLON_REQUEST_RATE: "100" } });
    try {
      const socket = connect(limited.port, "127.0.0.1");
      let answers = "";
      const done = new Promise((resolve) => {
        socket.setEncoding("utf8").on("data", (text) => (answers += text)).on("close", resolve).on("error", resolve);
      });
      const call = (last) =>
        `GET /api/chat/user/alice/unread-count HTTP/1.1\r\nhost: 127.0.0.1:${limited.port}\r\n` +
        `${last ? "connection: close\r\n" : ""}\r\n`;
      socket.write(call(false).repeat(1_999) + call(true));
      await within(done, "all answers");

      const refused = answers.split("HTTP/1.1 ").filter((answer) => answer.startsWith("429 "));
      assert.ok(refused.length > 0, "nothing was refused");
      for (const answer of refused) {
        assert.match(answer, /retry-after: \d+/i);
        assertHas(JSON.parse(answer.slice(answer.indexOf("\r\n\r\n") + 4)), { code: "rate_limited", message: /^Too many / });
      }
    } finally {
      await limited.stop();
    }
  });
});
