// Whose limits a request counts for: behind proxies that the settings name (CARILLON_TRUSTED_PROXIES) those of the client
// that they name, otherwise those of the connection's address. The tests themselves are the proxy.

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { run, someone, startNode } from "./carillon.js";

const from = (...hops) => ({ extraHeaders: { "X-Forwarded-For": hops.join(", ") } });

/** Has a node with room for one connection of an address. */
async function withNode(trusted, work) {
  const node = await startNode({ env: { CARILLON_ADDRESS_CONNECTIONS: "1", CARILLON_TRUSTED_PROXIES: trusted } });
  const connect = (options) => node.connect(someone(), options);
  const isRefused = async (options) => {
    const { message } = await node.refusal({ token: node.token(someone()) }, options);
    assert.equal(message, "Too many connections");
  };
  try {
    await work({ node, connect, isRefused });
  } finally {
    await node.stop();
  }
}

describe("behind a trusted proxy", () => {
  for (const transports of [["polling"], ["websocket"]]) {
    test(`clients have limits of their own, whatever they claim themselves (${transports})`, () =>
      withNode("127.0.0.0/8", async ({ connect, isRefused }) => {
        await connect({ ...from("198.51.100.1"), transports });
        await connect({ ...from("198.51.100.2"), transports });
        await isRefused({ ...from("198.51.100.1"), transports });
        await isRefused({ ...from("203.0.113.9", "198.51.100.2"), transports });
        await isRefused({ ...from("198.51.100.2", "127.1.2.3"), transports });
        await connect({ ...from("198.51.100.3", "127.1.2.3"), transports });
      }));
  }

  test("an IPv6 client counts by its /64, a mapped IPv4 one as IPv4", () =>
    withNode("127.0.0.1", async ({ connect, isRefused }) => {
      await connect(from("2001:db8:0:1::1"));
      await isRefused(from("[2001:db8:0:1:ffff::2]:4711"));
      await connect(from("2001:db8:0:2::1"));
      await connect(from("198.51.100.1"));
      await isRefused(from("::ffff:198.51.100.1"));
    }));

  test("what is no address stops at the proxy itself", () =>
    withNode("127.0.0.1", async ({ connect, isRefused }) => {
      await connect(from("198.51.100.1", "unknown"));
      await isRefused(from("198.51.100.2", "%%%"));
      await isRefused({});
    }));

  test("requests over REST have limits of their own", async () => {
    const node = await startNode({ env: { CARILLON_REQUEST_RATE: "1", CARILLON_TRUSTED_PROXIES: "127.0.0.1" } });
    try {
      const get = (address) =>
        node.get("/api/chat/user/alice/chats", { as: "alice", headers: { "x-forwarded-for": address } });
      const flood = await Promise.all(Array.from({ length: 20 }, () => get("198.51.100.1")));
      assert.ok(flood.some(({ status }) => status === 429));
      assert.equal((await get("198.51.100.2")).status, 200);
    } finally {
      await node.stop();
    }
  });
});

describe("a peer that is no trusted proxy", () => {
  for (const trusted of [undefined, "10.0.0.0/8,fd00::/8"]) {
    test(`is the client whatever it claims, trusted being ${trusted ?? "nobody"}`, () =>
      withNode(trusted, async ({ connect, isRefused }) => {
        await connect(from("198.51.100.1"));
        await isRefused(from("198.51.100.2"));
        await isRefused(from("10.0.0.1"));
      }));
  }
});

test("a development node refuses what was forwarded, also by a trusted proxy", async () => {
  const node = await startNode({ args: ["--dev"], env: { CARILLON_TRUSTED_PROXIES: "127.0.0.1" } });
  try {
    const headers = { "x-forwarded-for": "127.0.0.1" };
    assert.equal((await node.get("/api/chat/user/alice/chats", { as: "alice", headers })).status, 403);
    assert.equal((await node.get("/api/chat/user/alice/chats", { as: "alice" })).status, 200);
  } finally {
    await node.stop();
  }
});

test("networks that are none are refused at the start", async () => {
  for (const wrong of ["10.0.0.1/8", "proxy.example", "10.0.0.0/33"]) {
    const { code, output } = await run(["serve"], { CARILLON_TRUSTED_PROXIES: wrong, JWT_SECRET: "x" });
    assert.equal(code, 2);
    assert.match(output, /CARILLON_TRUSTED_PROXIES .* networks such as 10\.0\.0\.0\/8/);
  }
});
