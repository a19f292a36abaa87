// Who is let in, and as whom: every refusal of the handshake, where a token may come from.

import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer } from "node:http";
import { after, before, describe, test } from "node:test";
import { assertHas } from "./assertions.js";
import { SECRET, SECRET_BEFORE, someone } from "./carillon.js";
import { COMBINATIONS } from "./client.js";
import { eventually } from "./process.js";
import { mint, seconds, unsigned } from "./token.js";
import { describeOneNode, start } from "./topology.js";

let node;

before(async () => {
  node = await start({ env: { CARILLON_JWT_SECRET_PREVIOUS: SECRET_BEFORE } });
});
after(() => node?.stop());

const FAILED = "Authentication failed";
const good = (claims) => mint(claims, SECRET);

describe("refusals", () => {
  for (const { name, transports, parser } of COMBINATIONS) {
    test(`no token, over ${name}`, async () => {
      const error = await node.refusal(undefined, { transports, parser });
      assert.equal(error.message, "Authentication token required");
    });

    test(`a bad token, over ${name}`, async () => {
      assert.equal((await node.refusal({ token: "bad" }, { transports, parser })).message, FAILED);
    });
  }

  for (const [name, auth, message] of [
    ["no token beside a user id", { userId: "alice" }, "Authentication token required"],
    ["an empty token", { token: "" }, "Authentication token required"],
    ["a token that is null", { token: null }, "Authentication token required"],
    ["a token that names nobody, and no user id", { token: good({ role: "user" }) }, "User ID required"],
    ["a token that names nobody, and an empty user id", { token: good({}), userId: "" }, "User ID required"],
    ["a token that names nobody beside a user id", { token: good({}), userId: "alice" }, FAILED],
    ["another user's id beside the token", { token: good({ userId: "alice" }), userId: "bob" }, FAILED],
    ["a user id that is an object", { token: good({ userId: "alice" }), userId: { $ne: null } }, FAILED],
    ["a user id that is true", { token: good({ userId: "alice" }), userId: true }, FAILED],
    ["a token that is a number", { token: 5 }, FAILED],
    ["a token that is an object", { token: { $gt: "" } }, FAILED],
    ["a token that is an array", { token: [good({ userId: "alice" })] }, FAILED],
    ["an id in the token that is an object", { token: good({ userId: { $ne: "x" } }) }, FAILED],
    ["an id in the token that is a fraction", { token: good({ userId: 1.5 }) }, FAILED],
    ["an id in the token with a control character", { token: good({ userId: "a\u0000b" }) }, FAILED],
    ["an id in the token with a line feed", { token: good({ userId: "a\nb" }) }, FAILED],
    ["an id in the token of 129 code units", { token: good({ userId: "x".repeat(129) }) }, FAILED],
    ["an id in the token of 65 emoji", { token: good({ userId: "\u{1f600}".repeat(65) }) }, FAILED],
    ["a token signed by another secret", { token: mint({ userId: "alice" }, "x".repeat(40)) }, FAILED],
    ["a token without a signature", { token: unsigned({ userId: "alice" }) }, FAILED],
    ["a token with its signature cut off", { token: good({ userId: "alice" }).replace(/[^.]+$/, "") }, FAILED],
    ["alg none over a good signature", { token: mint({ userId: "alice" }, SECRET, { header: { alg: "none" } }) }, FAILED],
    ["HS512, which nobody configured", { token: mint({ userId: "alice" }, SECRET, { header: { alg: "HS512" }, hash: "sha512" }) }, FAILED],
    ["RS256 in the header of an HMAC", { token: mint({ userId: "alice" }, SECRET, { header: { alg: "RS256" } }) }, FAILED],
    ["an expired token", { token: good({ userId: "alice", exp: seconds(-30) }) }, FAILED],
    ["a token that is not valid yet", { token: good({ userId: "alice", nbf: seconds(30) }) }, FAILED],
    ["an exp that is text", { token: good({ userId: "alice", exp: "tomorrow" }) }, FAILED],
    ["a token of 100 kB", { token: "x".repeat(100_000) }, FAILED],
  ]) {
    test(name, async () => {
      assert.equal((await node.refusal(auth)).message, message);
    });
  }

  for (const namespace of ["/chat", "/admin"]) {
    test(`the namespace ${namespace}, with a good token`, async () => {
      const client = node.client("alice");
      const other = client.socket.io.socket(namespace, { auth: { token: node.token("alice") } });
      const refused = once(other, "connect_error");
      other.connect();
      assert.equal((await refused)[0].message, "Invalid namespace");
      other.disconnect();
    });
  }
});

describeOneNode("connections of a user", () => {
  test("a user's 51st connection, and the first fifty go on", async () => {
    const user = someone();
    const clients = await Promise.all(Array.from({ length: 50 }, () => node.connect(user)));
    const error = await node.refusal({ token: node.token(user) });
    assert.equal(error.message, "Too many connections");
    assertHas(error.data, { code: "rate_limited", retryAfterMs: (value) => Number.isInteger(value) && value > 0 });
    await Promise.all(clients.map((client) => client.fence()));

    clients.pop().close();
    await eventually(() => node.connect(user).catch(() => false), { what: "room for one more" });
    for (const client of clients) client.close();
  });
});

describe("who it is", () => {
  /** The id under which a client is known, seen by its own chat. */
  async function assertKnownAs(auth, user, options) {
    const client = await node.connect(undefined, { auth, ...options });
    const answer = await client.send("someone else", "hello");
    const [first, second] = [user, "someone else"].sort();
    assert.equal(answer.chatboxId, `${first}_${second}`, JSON.stringify(answer));
    client.close();
  }

  for (const [name, auth, user] of [
    ["the claim userId", { token: good({ userId: "alice" }) }, "alice"],
    ["else the claim sub", { token: good({ sub: "alice" }) }, "alice"],
    ["userId before sub", { token: good({ userId: "alice", sub: "bob" }) }, "alice"],
    ["an integer in the token as its decimal text", { token: good({ userId: 42 }) }, "42"],
    ["the same id in auth.userId", { token: good({ userId: "alice" }), userId: "alice" }, "alice"],
    ["an integer in auth.userId as its decimal text", { token: good({ userId: "42" }), userId: 42 }, "42"],
    ["an id of 128 code units", { token: good({ userId: "x".repeat(128) }) }, "x".repeat(128)],
    ["an id of any script, with spaces, + and @", { token: good({ userId: "Zoë Ω+日本@x" }) }, "Zoë Ω+日本@x"],
    ["a token of the secret before", { token: mint({ userId: "alice" }, SECRET_BEFORE) }, "alice"],
    ["a token without exp", { token: good({ userId: "alice" }) }, "alice"],
    ["a token expired less than the leeway ago", () => ({ token: good({ userId: "alice", exp: seconds(-1) }) }), "alice"],
    ["a token valid in less than the leeway", () => ({ token: good({ userId: "alice", nbf: seconds(3) }) }), "alice"],
    ["aud and iss where none is configured", { token: good({ userId: "alice", aud: "x", iss: "y" }) }, "alice"],
    ["role admin, an ordinary user on sockets", { token: good({ userId: "alice", role: "admin" }) }, "alice"],
  ]) {
    test(name, () => assertKnownAs(typeof auth === "function" ? auth() : auth, user));
  }

  for (const { name, transports, parser } of COMBINATIONS) {
    test(`the token of the Authorization header, over ${name}`, async () => {
      const extraHeaders = { Authorization: `Bearer ${good({ userId: "alice" })}` };
      await assertKnownAs(undefined, "alice", { transports, parser, extraHeaders });
    });
  }

  test("auth.token wins over the header", async () => {
    const extraHeaders = { Authorization: `Bearer ${good({ userId: "bob" })}` };
    await assertKnownAs({ token: good({ userId: "alice" }) }, "alice", { extraHeaders });
  });

  test("a bad auth.token is refused whatever the header says", async () => {
    const extraHeaders = { Authorization: `Bearer ${good({ userId: "bob" })}` };
    assert.equal((await node.refusal({ token: "bad" }, { extraHeaders })).message, FAILED);
  });

  test("never the URL", async () => {
    const token = good({ userId: "alice" });
    for (const query of [{ token }, { access_token: token }, { "auth.token": token }]) {
      assert.equal((await node.refusal(undefined, { query })).message, "Authentication token required");
    }
  });

  test("a key that the token itself names is never fetched nor believed", async () => {
    let asked = 0;
    const server = createServer((_, response) => {
      asked += 1;
      response.end("{}");
    }).listen(0, "127.0.0.1");
    await once(server, "listening");
    const url = `http://127.0.0.1:${server.address().port}/keys`;
    const own = "k".repeat(40);
    const jwk = { kty: "oct", k: Buffer.from(own).toString("base64url") };
    for (const header of [{ jku: url }, { x5u: url }, { jwk }]) {
      const token = mint({ userId: "alice" }, own, { header });
      assert.equal((await node.refusal({ token })).message, FAILED);
    }
    assert.equal(asked, 0);
    server.close();
  });
});
