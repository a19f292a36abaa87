// HTTP that means harm: paths, queries, heads and bodies made to be read in two ways. Nobody gets what is not theirs, no
// request hides in another, and the node goes on.

import assert from "node:assert/strict";
import { after, afterEach, before, describe, test } from "node:test";
import { gzipSync } from "node:zlib";
import { assertHas, assertProblem } from "./assertions.js";
import { someone, startNode } from "./carillon.js";
import { request, Tcp } from "./tcp.js";

let node;
let bystander;

before(async () => {
  node = await startNode();
  bystander = await node.connect("bystander");
  const [alice] = await node.connectAll("alice");
  await alice.send("bob", "for alice and bob alone");
  alice.close();
});
after(() => node?.stop());

afterEach(async () => {
  assert.equal(node.process.end, undefined, `the node ended: ${node.process.output.slice(-2_000)}`);
  await bystander.fence();
});

const CREATE = "/api/notifications/create";
const bearer = (user) => ({ authorization: `Bearer ${node.token(user)}` });
const host = () => ({ host: `127.0.0.1:${node.port}` });

describe("a path that hides another", () => {
  const OWN = "/api/chat/user/eve/chats";

  for (const path of [
    "/api/chat/user/eve/../alice/chats",
    "/api/chat/user/eve/%2e%2e/alice/chats",
    "/api/chat/user/eve%2f..%2falice/chats",
    "/api/chat/user/eve%252f..%252falice/chats",
    "/api/chat/user/%2e%2e/chats",
    "/api/chat/user/alice;eve/chats",
    "/api/chat/user/alice;x=1/chats",
    "/api/chat/user/alice/chats;x=1",
    "/api/chat/user/alice%00/chats",
    "/api/chat/user/alice%00eve/chats",
    "/api/chat/user/al%C1%A9ce/chats",
    "/api/chat/user/%C0%AE%C0%AE/alice/chats",
    "/api/chat/user/%E0%80%AF/chats",
    "/api/chat/user/%FF/chats",
    "/api/chat/user/%/chats",
    "/api/chat/user/%6/chats",
    "/api/chat/user/%u0061lice/chats",
    "/api/chat/user/al%69ce/chats",
    "/api/chat/user/alice%20/chats",
    "/api/chat/user/ALICE/chats",
    "/api/chat/user//alice/chats",
    "//api/chat/user/alice/chats",
    "/api//chat/user/alice/chats",
    "/./api/chat/user/alice/chats",
    "/API/CHAT/user/alice/chats",
    "/api/chat/user/alice/chats/",
    "/api/chat/user/alice/chats%3f",
    "/api/chat/user/alice/chats%23",
    "/api\\chat\\user\\alice\\chats",
    "/api/chat/user/..\\alice/chats",
    "/%61pi/chat/user/alice/chats",
    "/socket.io/../api/chat/user/alice/chats",
    "/metrics/../api/chat/user/alice/chats",
    "/api/chat/messages/alice_bob/../eve_zoe",
    "/api/chat/messages/alice%5Fbob",
    "/api/chat/messages/alice_bob%00_eve",
    "/api/notifications/user/%2e%2e%2falice",
    `/api/chat/user/${"%61".repeat(2_000)}/chats`,
    `/api/chat/user/${"../".repeat(2_000)}alice/chats`,
  ]) {
    test(`${path.slice(0, 60)} shows nothing of alice to eve`, async () => {
      const { status, text } = await node.raw("GET", path, { headers: { ...host(), ...bearer("eve") } });
      assert.ok(status >= 400 && status < 500, `${status} ${text}`);
      assert.doesNotMatch(text, /for alice|alice_bob/);
      // Below /socket.io/ codes are numbers.
      if (text !== "") assertHas(JSON.parse(text), { code: (code) => code !== undefined, message: /./ });
    });
  }

  test("a target with a foreign authority is answered as its path", async () => {
    for (const [target, status] of [[`http://evil.example${OWN}`, 200], ["http://evil.example/api/chat/user/alice/chats", 403]]) {
      const tcp = await Tcp.open(node.port, request("GET", target, { ...host(), ...bearer("eve"), connection: "close" }));
      const answer = await tcp.end();
      assert.ok([status, 400, 404].includes(tcp.statuses[0]), answer);
      assert.doesNotMatch(answer, /for alice/);
    }
  });

  test("an id percent-encoded in every letter is the id", async () => {
    const path = `/api/chat/user/${[..."alice"].map((letter) => `%${letter.charCodeAt(0).toString(16)}`).join("")}/chats`;
    const { status, body } = await node.get(path, { as: "alice" });
    assert.deepEqual([status, body.chats.length], [200, 1]);
  });

  for (const name of ["x-original-url", "x-rewrite-url", "x-http-method-override", "x-method-override", "x-forwarded-prefix", "x-user-id"]) {
    test(`${name} changes nothing`, async () => {
      const value = /method/.test(name) ? "DELETE" : /user/.test(name) ? "alice" : "/api/chat/user/alice/chats";
      const { status, body } = await node.get(OWN, { as: "eve", headers: { [name]: value } });
      assert.deepEqual([status, body], [200, { chats: [] }]);
    });
  }
});

describe("queries", () => {
  const history = "/api/chat/messages/alice_bob";

  for (const query of [
    "page=%00", "page=0x1", "page=1e0", "page=+1", "page=%2B1", "page=%EF%BC%91", "page=1.0", "page=-1",
    "page=NaN", "page=[object+Object]", "page=1%0d%0aSet-Cookie:x", "limit=", "limit=true", "limit=null", "afterSeq=-0", "afterSeq=9e99",
    "afterSeq=1%20OR%201=1", "afterSeq=%7B%22$gt%22:0%7D", "page=%FF",
  ]) {
    test(`${query.slice(0, 40)} is no number`, async () => {
      assertProblem(await node.get(`${history}?${query}`, { as: "alice" }), 400, "invalid");
    });
  }

  for (const query of ["page[$gt]=", "page[]=2", "__proto__[page]=2", "constructor=1", "$where=sleep(1000)", "%ZZ", "&&&&", "=", "a".repeat(20_000), "k=v&".repeat(5_000)]) {
    test(`${query.slice(0, 40)} is no parameter`, async () => {
      const { status, body } = await node.get(`${history}?${query}`, { as: "alice" });
      assert.equal(status, 200);
      assertHas(body, { totalMessages: 1, currentPage: 1 });
    });
  }
});

describe("queries beyond all numbers", () => {
  for (const page of ["18446744073709551616", "9".repeat(5_000)]) {
    test(`a page of ${page.length} digits is empty`, async () => {
      const { status, body } = await node.get(`/api/chat/messages/alice_bob?page=${page}`, { as: "alice" });
      assert.equal(status, 200);
      assertHas(body, { messages: [], totalMessages: 1, hasMore: false });
    });
  }
});

describe("heads", () => {
  /** The first answer to a request with these headers. */
  const answerTo = async (headers, { method = "GET", target = "/api/chat/user/alice/chats", body } = {}) => {
    const tcp = await Tcp.open(node.port, request(method, target, { ...host(), connection: "close", ...headers }, body));
    await tcp.end();
    return { status: tcp.statuses[0], text: tcp.text };
  };

  test("two tokens are none, or the first alone", async () => {
    const both = [`Bearer ${node.token("eve")}`, `Bearer ${node.token("alice")}`];
    assert.ok([401, 403].includes((await answerTo({ authorization: both })).status));
    assert.equal((await answerTo({ authorization: both.join(", ") })).status, 401);
  });

  for (const [name, value] of [
    ["without a scheme", (token) => token],
    ["of another scheme", (token) => `Basic ${token}`],
    ["with a tail", (token) => `Bearer ${token} x`],
    ["cut short", (token) => `Bearer ${token.slice(0, -2)}`],
    ["with a fourth part", (token) => `Bearer ${token}.x`],
    ["of 60 kB", () => `Bearer ${"x".repeat(60_000)}`],
    ["of bytes beyond ASCII", () => "Bearer \u00ff\u00fe"],
    ["empty", () => "Bearer "],
  ]) {
    test(`a token ${name} is refused`, async () => {
      const { status, text } = await answerTo({ authorization: value(node.token("alice")) });
      assert.equal(status, 401, text);
      assert.match(text, /"code":"unauthorized"/);
    });
  }

  for (const [name, headers] of [
    ["no Host", { host: [] }],
    ["two Hosts", () => ({ host: [host().host, "evil.example"] })],
    ["two equal Hosts", () => ({ host: [host().host, host().host] })],
    ["300 headers", Object.fromEntries(Array.from({ length: 300 }, (_, i) => [`x-${i}`, "1"]))],
    ["a header of 200 kB", { "x-large": "x".repeat(200_000) }],
    ["a NUL in a value", { "x-nul": "a\u0000b" }],
    ["a line folded", { "x-folded": "a\r\n b" }],
    ["a bare carriage return", { "x-cr": "a\rb" }],
    ["a space before the colon", { "x-space ": "1" }],
    ["a name of controls", { "\u0001": "1" }],
    ["no name", { "": "1" }],
  ]) {
    test(`${name} is refused`, async () => {
      const { status, text } = await answerTo({ ...bearer("alice"), ...(typeof headers === "function" ? headers() : headers) });
      assert.ok(status === undefined || (status >= 400 && status < 500), text.slice(0, 300));
    });
  }

  test("an expectation that is followed by nothing holds nobody up", async () => {
    const tcp = await Tcp.open(node.port, request("POST", CREATE, { ...host(), ...bearer("alice"), "content-type": "application/json", "content-length": 100, expect: "100-continue" }));
    await bystander.fence();
    tcp.destroy();
  });

  for (const encoding of ["gzip", "br", "deflate", "zstd", "gzip, gzip", "identity, gzip", "x"]) {
    test(`a body in the encoding ${encoding} is not unpacked`, async () => {
      const bomb = gzipSync(Buffer.alloc(50_000_000));
      const headers = { "content-type": "application/json", "content-encoding": encoding };
      const response = await node.rest("POST", CREATE, { as: "alice", body: bomb, headers });
      assertProblem(response, 415, "unsupported_media_type");
    });
  }
});

describe("a request inside another is not answered", () => {
  // Were it found, it would be answered with 200.
  const hidden = () => request("GET", "/livez", host());
  const inChunks = (...chunks) => () => chunks.join("") + hidden();
  const chunked = { "transfer-encoding": "chunked" };

  for (const [name, headers, body = hidden] of [
    ["a length and chunks", { "content-length": 4, ...chunked }, inChunks("0\r\n\r\n")],
    ["chunks and a length", { ...chunked, "content-length": 4 }, inChunks("0\r\n\r\n")],
    ["two lengths", { "content-length": [0, 200] }],
    ["a list of lengths", { "content-length": "0, 200" }],
    ["a length with a sign", { "content-length": "+0" }],
    ["a negative length", { "content-length": -1 }],
    ["a length in hex", { "content-length": "0x0" }],
    ["a length with letters", { "content-length": "0a" }],
    ["a length beyond numbers", { "content-length": "18446744073709551616" }],
    ["an unknown coding", { "transfer-encoding": "xchunked" }],
    ["chunked, then identity", { "transfer-encoding": "chunked, identity" }, inChunks("0\r\n\r\n")],
    ["chunked twice", { "transfer-encoding": ["chunked", "chunked"] }, inChunks("0\r\n\r\n")],
    ["a chunk beyond numbers", chunked, inChunks("10000000000000000\r\n")],
    ["a chunk of negative size", chunked, inChunks("-1\r\n")],
    ["a chunk without size", chunked, inChunks("\r\n")],
    ["a chunk that does not end", chunked, inChunks("1\r\naa\r\n0\r\n\r\n")],
  ]) {
    test(name, async () => {
      const outer = request("POST", CREATE, { ...host(), ...bearer("alice"), "content-type": "application/json", ...headers });
      const tcp = await Tcp.open(node.port, outer + body());
      const answer = await tcp.end();
      assert.ok(tcp.statuses.length <= 1 && tcp.statuses.every((status) => status >= 400 && status < 500), answer);
    });
  }
});

describe("bodies read in two ways", () => {
  const post = (body) => node.rest("POST", CREATE, { as: "alice", body, headers: { "content-type": "application/json" } });

  test("of a key given twice the last counts, for who may do it as well as for what is done", async () => {
    const user = someone("reader");
    const forged = await post(`{"toUser":"${user}","fromUser":"alice","fromUser":"bob","message":"m"}`);
    assertProblem(forged, 403, "forbidden");
    const own = await post(`{"toUser":"${user}","fromUser":"bob","fromUser":"alice","message":"m"}`);
    assert.equal(own.status, 201, own.text);
    assert.deepEqual((await node.get(`/api/notifications/user/${user}`, { as: user })).body.notifications.map(({ fromUser }) => fromUser), ["alice"]);
  });

  test("an escaped key is the key", async () => {
    assertProblem(await post('{"toUser":"bob","fromUser":"alice","message":"m","from\\u0055ser":"bob"}'), 403, "forbidden");
  });

  test("keys of other prototypes name nobody", async () => {
    assertProblem(await post('{"__proto__":{"fromUser":"alice","toUser":"bob","message":"m"}}'), 400, "invalid");
  });

  for (const [name, body] of [
    ["a byte order mark", '\ufeff{"toUser":"bob","fromUser":"alice","message":"m"}'],
    ["UTF-16", Buffer.from('{"toUser":"bob","fromUser":"alice","message":"m"}', "utf16le")],
    ["overlong UTF-8", Buffer.from('{"toUser":"b\u00c1\u00a1","fromUser":"alice","message":"m"}', "latin1")],
    ["a comment", '{"toUser":"bob",/**/"fromUser":"alice","message":"m"}'],
    ["two documents", '{"toUser":"bob","fromUser":"alice","message":"m"}{}'],
    ["NaN", '{"toUser":NaN,"fromUser":"alice","message":"m"}'],
  ]) {
    test(`${name} is no JSON`, async () => {
      assertProblem(await post(body), 400, "invalid");
    });
  }
});
