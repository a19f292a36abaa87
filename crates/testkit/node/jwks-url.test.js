// A node whose keys are fetched from an address (CARILLON_JWKS): it waits for them, and follows them while it runs.

import assert from "node:assert/strict";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { createServer } from "node:http";
import { createServer as createTlsServer } from "node:https";
import { after, before, describe, test } from "node:test";
import { fileURLToPath } from "node:url";
import { run, SECRET, startNode } from "./carillon.js";
import { eventually, freePort } from "./process.js";
import { request, Tcp } from "./tcp.js";
import { keyPair } from "./token.js";

const FAILED = "Authentication failed";
const fixture = (name) => fileURLToPath(new URL(`fixtures/test-only-issuer-${name}.pem`, import.meta.url));

/** An issuer of keys: `answer` is `{ status, body }`, or nothing and it hangs; `asked` the paths that were asked for. */
class Issuer {
  asked = [];

  async start({ tls } = {}) {
    const serve = (request, response) => {
      this.asked.push(request.url);
      if (this.answer === undefined) return;
      response.writeHead(this.answer.status ?? 200, { "content-type": "application/jwk-set+json" });
      response.end(this.answer.body);
    };
    this.server = tls ? createTlsServer(tls, serve) : createServer(serve);
    await once(this.server.listen(0, "127.0.0.1"), "listening");
    this.url = `${tls ? "https" : "http"}://127.0.0.1:${this.server.address().port}/keys`;
  }

  publish(...keys) {
    this.answer = { body: JSON.stringify({ keys: keys.map(({ jwk }) => jwk) }) };
  }

  async stop() {
    this.server.closeAllConnections();
    this.server.close();
    await once(this.server, "close");
  }
}

describe("a key set at an address", () => {
  let issuer;
  before(() => (issuer = new Issuer()).start());
  after(() => issuer.stop());
  const start = (options = {}) => startNode({ env: { JWT_SECRET: undefined, CARILLON_JWKS: issuer.url }, ...options });

  test("a node waits for it, alive and not ready; a key that is changed while it runs is found by its first token", async () => {
    const [first, second] = [keyPair("first"), keyPair("second")];
    issuer.answer = { status: 503, body: "later" };
    const own = await start({ readiness: 503 });
    try {
      assert.equal((await fetch(`${own.url}/livez`)).status, 200);
      const states = await (await fetch(`${own.url}/readyz?verbose`)).json();
      assert.equal(states.stage, "starting");
      assert.equal(states.keys, "waiting");

      issuer.publish(first);
      await eventually(async () => (await fetch(`${own.url}/readyz`)).status === 200, { what: "a node that is ready" });
      await own.connect("alice", { auth: { token: first.sign("alice") } });
      assert.equal((await own.refusal({ token: keyPair("first").sign("alice") })).message, FAILED);

      const before = issuer.asked.length;
      issuer.publish(second);
      assert.equal((await own.refusal({ token: second.sign("bob") })).message, FAILED);
      await eventually(() => own.connect("bob", { auth: { token: second.sign("bob") } }).catch(() => false));
      assert.equal((await own.refusal({ token: first.sign("alice") })).message, FAILED);

      const flood = Array.from({ length: 50 }, (_, n) => own.refusal({ token: keyPair(`made-up-${n}`).sign("eve") }));
      for (const { message } of await Promise.all(flood)) assert.equal(message, FAILED);
      assert.equal(issuer.asked.length, before + 1);
    } finally {
      await own.stop();
    }
  });

  test("whoever comes while it gets ready is answered", async () => {
    issuer.answer = { status: 503, body: "later" };
    const own = await start({ readiness: 503 });
    try {
      issuer.publish(keyPair("only"));
      let isReady = false;
      const asking = Array.from({ length: 32 }, async () => {
        while (!isReady) {
          const tcp = await Tcp.open(own.port, request("GET", "/readyz", { host: `127.0.0.1:${own.port}`, connection: "close" }));
          await tcp.end();
          assert.equal(tcp.statuses.length, 1, `closed after ${JSON.stringify(tcp.text)}`);
          isReady ||= tcp.statuses[0] === 200;
        }
      });
      await Promise.all(asking);
    } finally {
      await own.stop();
    }
  });

  test("the keys stay while the issuer is broken", async () => {
    const pair = keyPair("only");
    issuer.publish(pair);
    const own = await start();
    try {
      const before = issuer.asked.length;
      issuer.answer = { body: "<html>" };
      assert.equal((await own.refusal({ token: keyPair("new").sign("eve") })).message, FAILED);
      await eventually(() => issuer.asked.length > before);
      await own.connect("alice", { auth: { token: pair.sign("alice") } });
    } finally {
      await own.stop();
    }
  });

  test("a token that names an address of keys has nobody asked there", async () => {
    const pair = keyPair("only");
    issuer.publish(pair);
    const own = await start();
    try {
      const [header, ...rest] = keyPair("another").sign("eve").split(".");
      const named = { ...JSON.parse(Buffer.from(header, "base64url")), jku: `${issuer.url}/of-a-token` };
      const token = [Buffer.from(JSON.stringify(named)).toString("base64url"), ...rest].join(".");
      const before = issuer.asked.length;
      assert.equal((await own.refusal({ token })).message, FAILED);
      await eventually(() => issuer.asked.length > before);
      assert.deepEqual(new Set(issuer.asked), new Set(["/keys"]));
    } finally {
      await own.stop();
    }
  });

  test("over https the issuer must have a certificate that the system trusts", async () => {
    const secure = new Issuer();
    await secure.start({ tls: { key: readFileSync(fixture("key")), cert: readFileSync(fixture("cert")) } });
    const env = { JWT_SECRET: undefined, CARILLON_JWKS: secure.url };
    try {
      const pair = keyPair("only");
      secure.publish(pair);
      const stranger = await run(["check", "--json"], { CARILLON_JWKS: secure.url });
      const { checks } = JSON.parse(stranger.output);
      assert.match(checks.find(({ what }) => what === "key set").found, /certificate/);
      assert.deepEqual(secure.asked, []);

      // Where the system keeps the certificates that it trusts.
      const own = await startNode({ env: { ...env, SSL_CERT_FILE: fixture("cert") } });
      try {
        await own.connect("alice", { auth: { token: pair.sign("alice") } });
      } finally {
        await own.stop();
      }
    } finally {
      await secure.stop();
    }
  });

  test("a node that waits for it ends by SIGTERM", async () => {
    issuer.answer = undefined;
    const own = await start({ readiness: 503 });
    await own.stop();
  });

  test("carillon check tries it", async () => {
    const env = async (url) => ({ CARILLON_JWKS: url, JWT_SECRET: SECRET, PORT: String(await freePort()) });
    issuer.publish(keyPair("only"));
    const good = await run(["check", "--json"], await env(issuer.url));
    const found = (output) => JSON.parse(output).checks.find(({ what }) => what === "key set");
    assert.deepEqual(found(good.output), {
      what: "key set",
      outcome: "ok",
      found: `${issuer.url}: keys: 1, passed over: 0`,
      advice: null,
    });

    issuer.answer = { status: 404, body: "" };
    const bad = await run(["check", "--json"], await env(issuer.url));
    assert.equal(bad.code, 1);
    assert.equal(found(bad.output).outcome, "failed");
    assert.match(found(bad.output).found, /404/);

    const offline = await run(["check", "--json", "--offline"], await env(issuer.url));
    assert.equal(found(offline.output), undefined);
  });
});
