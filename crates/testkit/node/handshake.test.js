// Who is let in: every refusal of the handshake, where a token may come from, origins and CORS.

import assert from "node:assert/strict";
import { generateKeyPairSync } from "node:crypto";
import { once } from "node:events";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { createServer } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { assertHas } from "./assertions.js";
import { run, SECRET, SECRET_BEFORE, someone, startNode } from "./carillon.js";
import { COMBINATIONS } from "./client.js";
import { eventually } from "./process.js";
import { mint, mintAsymmetric, seconds, unsigned } from "./token.js";
import { refusedUpgrade } from "./wire.js";

let node;

before(async () => {
  node = await startNode({ env: { CARILLON_JWT_SECRET_PREVIOUS: SECRET_BEFORE } });
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
    ["a token expired less than the leeway ago", { token: good({ userId: "alice", exp: seconds(-2) }) }, "alice"],
    ["a token valid in less than the leeway", { token: good({ userId: "alice", nbf: seconds(3) }) }, "alice"],
    ["aud and iss where none is configured", { token: good({ userId: "alice", aud: "x", iss: "y" }) }, "alice"],
    ["role admin, an ordinary user on sockets", { token: good({ userId: "alice", role: "admin" }) }, "alice"],
  ]) {
    test(name, () => assertKnownAs(auth, user));
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

describe("keys of a pair", () => {
  const CURVES = [
    ["RS256", "rsa", { modulusLength: 2048 }],
    ["ES256", "ec", { namedCurve: "P-256" }],
    ["EdDSA", "ed25519", {}],
  ];
  for (const [alg, type, options] of CURVES) {
    test(`${alg} by a PEM key, without any secret; nothing else passes`, async () => {
      const { publicKey, privateKey } = generateKeyPairSync(type, options);
      const pem = publicKey.export({ type: "spki", format: "pem" });
      const own = await startNode({ env: { JWT_SECRET: undefined, CARILLON_JWT_PUBLIC_KEY: pem } });
      try {
        const token = mintAsymmetric({ userId: "alice", exp: seconds(60) }, alg, privateKey);
        await own.connect("alice", { auth: { token } });
        assert.equal((await own.get("/api/chat/user/alice/chats", { token })).status, 200);

        const foreign = mintAsymmetric({ userId: "alice" }, alg, generateKeyPairSync(type, options).privateKey);
        for (const bad of [foreign, mint({ userId: "alice" }, pem), good({ userId: "alice" }), unsigned({ userId: "alice" })]) {
          assert.equal((await own.refusal({ token: bad })).message, FAILED);
        }
      } finally {
        await own.stop();
      }
    });
  }
});

describe("a key set in a file", () => {
  const pair = (kid) => {
    const { publicKey, privateKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
    const sign = (user) => mintAsymmetric({ userId: user }, "ES256", privateKey, { kid });
    return { jwk: { ...publicKey.export({ format: "jwk" }), kid, alg: "ES256", use: "sig" }, sign };
  };

  test("its keys are taken, a key added while the node runs is found, one removed is refused", async () => {
    const folder = await mkdtemp(join(tmpdir(), "carillon-test-"));
    const file = join(folder, "keys.json");
    const [first, second] = [pair("first"), pair("second")];
    await writeFile(file, JSON.stringify({ keys: [first.jwk] }));
    const own = await startNode({ env: { JWT_SECRET: undefined, CARILLON_JWKS: file } });
    try {
      const { sign } = pair("first");
      await own.connect("alice", { auth: { token: first.sign("alice") } });
      assert.equal((await own.refusal({ token: sign("alice") })).message, FAILED);
      assert.equal((await own.refusal({ token: second.sign("alice") })).message, FAILED);

      await writeFile(file, JSON.stringify({ keys: [second.jwk] }));
      await eventually(() => own.connect("bob", { auth: { token: second.sign("bob") } }).catch(() => false));
      assert.equal((await own.refusal({ token: first.sign("alice") })).message, FAILED);
    } finally {
      await own.stop();
      await rm(folder, { recursive: true, force: true });
    }
  });
});

describe("settings of identity", () => {
  test("aud, iss and the claims' names count where they are configured", async () => {
    const configured = await startNode({
      env: {
        CARILLON_JWT_AUDIENCE: "chat",
        CARILLON_JWT_ISSUER: "https://issuer.example",
        CARILLON_JWT_USER_CLAIM: "uid",
        CARILLON_JWT_ROLE_CLAIM: "group",
        CARILLON_JWT_ADMIN_ROLE: "staff",
      },
    });
    try {
      const claims = { uid: "alice", aud: ["other", "chat"], iss: "https://issuer.example" };
      await configured.connect("alice", { auth: { token: good(claims) } });
      for (const wrong of [{ aud: "other" }, { aud: undefined }, { iss: "https://other.example" }, { iss: undefined }]) {
        assert.equal((await configured.refusal({ token: good({ ...claims, ...wrong }) })).message, FAILED);
      }
      const read = async (extra) =>
        (await configured.get("/api/chat/user/bob/chats", { token: good({ ...claims, ...extra }) })).status;
      assert.deepEqual([await read({ group: "staff" }), await read({ role: "admin" }), await read({ group: "admin" })], [200, 403, 403]);
    } finally {
      await configured.stop();
    }
  });

  test("CARILLON_REQUIRE_EXP=on refuses a token without exp", async () => {
    const strict = await startNode({ env: { CARILLON_REQUIRE_EXP: "on" } });
    try {
      assert.equal((await strict.refusal({ token: good({ userId: "alice" }) })).message, FAILED);
      await strict.connect("alice", { auth: { token: good({ userId: "alice", exp: seconds(60) }) } });
      const response = await strict.get("/api/chat/user/alice/unread-count", { token: good({ userId: "alice" }) });
      assert.equal(response.status, 401);
    } finally {
      await strict.stop();
    }
  });

  test("a node without a secret or a key does not start", async () => {
    const { code, output } = await run(["serve"], { PORT: "0" });
    assert.notEqual(code, 0);
    assert.match(output, /JWT_SECRET/);
  });

  test("a short secret starts with a warning and works", async () => {
    const node_ = await startNode({ env: { JWT_SECRET: "short" } });
    try {
      await node_.connect("alice", { auth: { token: mint({ userId: "alice" }, "short") } });
      assert.match(node_.process.output, /secret/i);
    } finally {
      await node_.stop();
    }
  });
});

describe("origins", () => {
  const APP = "http://app.example";
  let open;

  before(async () => {
    open = await startNode({ env: { FRONTEND_URL: `${APP}, https://two.example` } });
  });
  after(() => open?.stop());

  const handshake = (target, origin) =>
    fetch(`${target.endpoint}?EIO=4&transport=polling`, { headers: origin === undefined ? {} : { origin } });

  for (const origin of ["http://evil.example", "null", "http://app.example.evil.example", "https://app.example", "http://app.example:81"]) {
    test(`a handshake from ${origin} is forbidden, over polling and WebSocket`, async () => {
      const polling = await handshake(open, origin);
      assert.equal(polling.status, 403);
      assert.deepEqual(await polling.json(), { code: 4, message: "Forbidden" });
      const upgrade = await refusedUpgrade(`${open.endpoint}?EIO=4&transport=websocket`, { origin });
      assert.equal(upgrade.status, 403);
      assert.deepEqual(JSON.parse(upgrade.text), { code: 4, message: "Forbidden" });
      assert.equal(polling.headers.get("access-control-allow-origin"), null);
    });
  }

  test("where none is configured only the node's own passes", async () => {
    assert.equal((await handshake(node, node.url)).status, 200);
    assert.equal((await handshake(node, APP)).status, 403);
  });

  test("without Origin a handshake passes", async () => {
    assert.equal((await handshake(node)).status, 200);
    assert.equal((await handshake(open)).status, 200);
  });

  for (const origin of [APP, "https://two.example"]) {
    test(`${origin} is allowed, with credentials, on answers and refusals alike`, async () => {
      const refused = await fetch(`${open.endpoint}?EIO=3&transport=polling`, { headers: { origin } });
      for (const response of [await handshake(open, origin), refused]) {
        assert.equal(response.headers.get("access-control-allow-origin"), origin);
        assert.equal(response.headers.get("access-control-allow-credentials"), "true");
        assert.match(response.headers.get("vary"), /origin/i);
      }
      assert.equal(refused.status, 400);
      await open.connect("alice", { extraHeaders: { origin } });
      await open.connect("alice", { extraHeaders: { origin }, transports: ["polling"] });
    });
  }

  test("the node's own origin is allowed beside the configured ones", async () => {
    assert.equal((await handshake(open, open.url)).status, 200);
  });

  for (const path of ["/socket.io/?EIO=4&transport=polling", "/api/chat/user/alice/chats"]) {
    test(`a preflight of ${path} answers 204`, async () => {
      const response = await fetch(open.url + path, {
        method: "OPTIONS",
        headers: {
          origin: APP,
          "access-control-request-method": "GET",
          "access-control-request-headers": "authorization,x-custom",
        },
      });
      assert.equal(response.status, 204);
      assert.equal(response.headers.get("access-control-allow-origin"), APP);
      assert.equal(response.headers.get("access-control-allow-credentials"), "true");
      for (const method of ["GET", "POST", "PATCH", "DELETE"]) {
        assert.match(response.headers.get("access-control-allow-methods"), new RegExp(`\\b${method}\\b`));
      }
      for (const header of ["authorization", "x-custom"]) {
        assert.match(response.headers.get("access-control-allow-headers").toLowerCase(), new RegExp(header));
      }
    });
  }

  test("REST answers and refusals carry the headers of an allowed origin", async () => {
    const headers = { origin: APP };
    const answers = [
      await open.get("/api/chat/user/alice/chats", { as: "alice", headers }),
      await open.get("/api/chat/user/alice/chats", { headers }),
      await open.get("/nowhere", { headers }),
    ];
    assert.deepEqual(answers.map(({ status }) => status), [200, 401, 404]);
    for (const answer of answers) assert.equal(answer.headers.get("access-control-allow-origin"), APP);
  });
});

