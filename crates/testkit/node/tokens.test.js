// A token's end on a live connection, and its renewal.

import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { assertHas, assertRefused, ISO } from "./assertions.js";
import { someone } from "./carillon.js";
import { mint, seconds } from "./token.js";
import { start } from "./topology.js";

let node;

before(async () => {
  node = await start();
});
after(() => node?.stop());

describe("expiry", () => {
  for (const transports of [["polling"], ["websocket"]]) {
    test(`closes the transport over ${transports}, and the client returns with a fresh token`, async () => {
      const user = someone();
      const lives = [2, 600];
      const auth = (callback) => callback({ token: node.token(user, { exp: seconds(lives.shift() ?? 600) }) });
      const client = await node.connect(user, { auth, transports, reconnection: true, reconnectionDelay: 10 });
      const reason = await client.next("disconnect");
      assert.notEqual(reason, "io server disconnect");
      await client.next("connect");
      await client.fence();
    });
  }

  test("and the client that returns with the old one is refused in the end", async () => {
    const user = someone();
    const auth = { token: node.token(user, { exp: seconds(1) }) };
    const client = await node.connect(user, { auth, reconnection: true, reconnectionDelay: 200 });
    await client.next("disconnect");
    assert.equal((await client.next("connect_error")).message, "Authentication failed");
  });
});

describe("refreshToken", () => {
  test("acks when the new one expires", async () => {
    const user = someone();
    const client = await node.connect(user);
    const exp = seconds(3_600);
    const answer = await client.ask("refreshToken", { token: node.token(user, { exp }) });
    assertHas(answer, { expiresAt: ISO });
    assert.equal(Date.parse(answer.expiresAt), exp * 1_000);
    assertHas(await client.ask("refreshToken", { token: node.token(user) }), { expiresAt: null });
  });

  test("keeps a connection beyond its first token", async () => {
    const user = someone();
    const [renewed, control] = await Promise.all(
      [0, 1].map(() => node.connect(user, { auth: { token: node.token(user, { exp: seconds(5) }) } })),
    );
    await renewed.ask("refreshToken", { token: node.token(user, { exp: seconds(600) }) });
    await control.next("disconnect");
    await renewed.fence();
    assert.ok(renewed.socket.connected);
  });

  test("a shorter one ends it sooner", async () => {
    const user = someone();
    const client = await node.connect(user);
    await client.ask("refreshToken", { token: node.token(user, { exp: seconds(1) }) });
    await client.next("disconnect");
  });

  for (const [name, payload, code] of [
    ["another user's", () => ({ token: node.token("somebody else") }), "forbidden"],
    ["an expired one", () => ({ token: node.token("me", { exp: seconds(-60) }) }), "token_expired"],
    ["garbage", () => ({ token: "garbage" }), "invalid"],
    ["another secret's", () => ({ token: mint({ userId: "me" }, "w".repeat(40)) }), "invalid"],
    ["a not yet valid one", () => ({ token: node.token("me", { nbf: seconds(60) }) }), "invalid"],
    ["one that names nobody", () => ({ token: mint({}, "w".repeat(40)) }), "invalid"],
    ["none", () => ({}), "invalid"],
    ["an operator", () => ({ token: { $ne: null } }), "invalid"],
    ["no object", () => "token", "invalid"],
  ]) {
    test(`${name} is refused as ${code}, and the connection stays`, async () => {
      const client = await node.connect("me");
      const answer = await client.ask("refreshToken", payload());
      assertRefused(answer, code);
      assert.deepEqual(await client.next("error"), answer.error);
      await client.fence();
      client.close();
    });
  }

  test("a bad one leaves the old one's time as it was", async () => {
    const user = someone();
    const client = await node.connect(user, { auth: { token: node.token(user, { exp: seconds(5) }) } });
    assertRefused(await client.ask("refreshToken", { token: "garbage" }), "invalid");
    await client.next("disconnect");
  });
});
