// Who is let in by a node's settings: keys, key sets, claims, origins and CORS.

import assert from "node:assert/strict";
import { generateKeyPairSync } from "node:crypto";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { run, SECRET, startNode } from "./carillon.js";
import { eventually } from "./process.js";
import { keyPair, mint, mintAsymmetric, seconds, unsigned } from "./token.js";
import { refusedUpgrade } from "./wire.js";

const FAILED = "Authentication failed";
const good = (claims) => mint(claims, SECRET);

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
  test("its keys are taken, a key added while the node runs is found, one removed is refused", async () => {
    const folder = await mkdtemp(join(tmpdir(), "carillon-test-"));
    const file = join(folder, "keys.json");
    const [first, second] = [keyPair("first"), keyPair("second")];
    await writeFile(file, JSON.stringify({ keys: [first.jwk] }));
    const own = await startNode({ env: { JWT_SECRET: undefined, CARILLON_JWKS: file } });
    try {
      const { sign } = keyPair("first");
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
  let node;
  let open;

  before(async () => {
    node = await startNode();
    open = await startNode({ env: { FRONTEND_URL: `${APP}, https://two.example` } });
  });
  after(() => Promise.all([node?.stop(), open?.stop()]));

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

