// The process: start, health, metrics, drain, restart, development mode, the command line.

import assert from "node:assert/strict";
import { mkdtemp, readdir, rm, stat } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { assertHas, assertProblem } from "./assertions.js";
import { run, SECRET, someone, startNode } from "./carillon.js";
import { eventually, freePort } from "./process.js";
import { Frames, Polling } from "./wire.js";

describe("health and metrics", () => {
  let node;

  before(async () => {
    node = await startNode();
  });
  after(() => node?.stop());

  for (const path of ["/livez", "/health", "/readyz"]) {
    test(`${path} answers without a token, and tells no address with ?verbose`, async () => {
      assert.equal((await node.get(path)).status, 200);
      const verbose = await node.get(`${path}?verbose`);
      assert.equal(verbose.status, 200);
      assert.doesNotMatch(verbose.text, /\d+\.\d+\.\d+\.\d+|:\/\/|localhost/);
      assertProblem(await node.rest("POST", path), 405, "method_not_allowed");
    });
  }

  test("/metrics is Prometheus text with what the node counts", async () => {
    const { status, headers, text } = await node.get("/metrics");
    assert.equal(status, 200);
    assert.match(headers.get("content-type"), /^text\/plain/);
    assert.match(text, /^# TYPE carillon_connections gauge$/m);
    for (const subject of ["message", "deliver", "reject"]) {
      assert.match(text, new RegExp(`^# TYPE carillon_\\w*${subject}\\w* counter$`, "m"), subject);
    }
  });

  test("carillon_connections follows the connections of either transport", async () => {
    const base = await node.metric("carillon_connections");
    const clients = [await node.connect(someone()), await node.connect(someone(), { transports: ["polling"] })];
    assert.equal(await node.metric("carillon_connections"), base + 2);
    for (const client of clients) client.close();
    await eventually(async () => (await node.metric("carillon_connections")) === base, { what: "the old number" });
  });

  test("with an internal port they are only there", async () => {
    const internal = await freePort();
    const split = await startNode({ env: { CARILLON_INTERNAL_PORT: String(internal) }, healthPort: internal });
    try {
      for (const path of ["/livez", "/health", "/readyz", "/metrics"]) {
        assertProblem(await split.get(path), 404, "not_found");
        assert.equal((await fetch(`http://127.0.0.1:${internal}${path}`)).status, 200);
      }
      const response = await fetch(`http://127.0.0.1:${internal}/api/chat/user/alice/chats`);
      assert.equal(response.status, 404);
      await split.connect("alice");
    } finally {
      await split.stop();
    }
  });
});

describe("SIGTERM", () => {
  test("not ready, transports closed without DISCONNECT, exit 0; clients return to the next node", async () => {
    const dataDir = await mkdtemp(join(tmpdir(), "carillon-test-"));
    const port = await freePort();
    let node = await startNode({ port, dataDir });
    try {
      const options = { reconnection: true, reconnectionDelay: 50, reconnectionDelayMax: 100 };
      const websocket = await node.connect("alice", options);
      const polling = await node.connect("bob", { ...options, transports: ["polling"] });
      const raw = await Frames.open(node.endpoint);
      raw.send(`40${JSON.stringify({ token: node.token("carol") })}`);
      await raw.until((frame) => frame.startsWith("40"));

      const statuses = [];
      node.process.signal("SIGTERM");
      const watching = (async () => {
        while (!node.process.end) {
          const response = await fetch(`${node.url}/readyz`).catch(() => undefined);
          if (response === undefined) break;
          statuses.push(response.status);
          await response.arrayBuffer();
        }
      })();
      for (const client of [websocket, polling]) {
        assert.notEqual(await client.next("disconnect"), "io server disconnect");
      }
      const frames = await raw.until((frame) => frame === undefined);
      assert.ok(!frames.some((frame) => frame?.startsWith("41")), "a DISCONNECT packet was sent");
      assert.deepEqual(await node.process.exited, { code: 0, signal: null });
      await watching;
      const turned = statuses.findIndex((status) => status !== 200);
      if (turned >= 0) assert.ok(statuses.slice(turned).every((status) => status === 503), statuses.join());

      const next = await startNode({ port, dataDir });
      const old = node;
      node = next;
      try {
        await websocket.next("connect");
        await polling.next("connect");
      } finally {
        await old.stop();
      }
    } finally {
      await node.stop();
      await rm(dataDir, { recursive: true, force: true });
    }
  });

  test("while it waits for its last client it is alive, not ready, and takes no new ones", async () => {
    const node = await startNode();
    const last = await Polling.open(node.endpoint);
    await node.connect("alice");
    const status = (path) => node.raw("GET", path).then((response) => response.status);
    node.process.signal("SIGTERM");
    await eventually(async () => (await status("/readyz")) === 503, { what: "503 from /readyz" });

    assert.equal(await status("/livez"), 200);
    assert.equal(await status("/health"), 200);
    assert.equal(await status("/socket.io/?EIO=4&transport=polling"), 503);
    assert.deepEqual(await last.poll(), { status: 200, text: "1" });
    assert.deepEqual(await node.stop(), { code: 0, signal: null });
  });

  test("an idle node ends at once", async () => {
    const node = await startNode({ env: { CARILLON_DRAIN_WINDOW: "10m", CARILLON_DRAIN_TIMEOUT: "10m" } });
    assert.deepEqual(await node.stop(), { code: 0, signal: null });
  });
});

describe("what is stored", () => {
  for (const signal of ["SIGTERM", "SIGKILL"]) {
    test(`survives ${signal}: messages, numbers, unread counts, notifications, resends`, async () => {
      const dataDir = await mkdtemp(join(tmpdir(), "carillon-test-"));
      let node = await startNode({ dataDir });
      try {
        const [alice] = await node.connectAll("alice");
        const sent = [];
        for (let i = 0; i < 5; i += 1) sent.push(await alice.send("bob", `m${i}`, { clientMessageId: `c${i}` }));
        node.process.signal(signal);
        await node.process.exited;
        await node.stop();

        node = await startNode({ dataDir });
        const history = (await node.get("/api/chat/messages/alice_bob", { as: "bob" })).body.messages.reverse();
        assert.deepEqual(history.map(({ _id, seq }) => [_id, seq]), sent.map(({ messageId, seq }) => [messageId, seq]));
        assert.deepEqual((await node.get("/api/chat/user/bob/unread-count", { as: "bob" })).body, { unreadCount: 5 });
        assert.equal((await node.get("/api/notifications/user/bob", { as: "bob" })).body.count, 5);
        const [again] = await node.connectAll("alice");
        const resent = await again.send("bob", "m4", { clientMessageId: "c4" });
        assertHas(resent, { messageId: sent[4].messageId, timestamp: sent[4].timestamp, seq: 5 });
        assert.equal((await again.send("bob", "new")).seq, 6);
      } finally {
        await node.stop();
        await rm(dataDir, { recursive: true, force: true });
      }
    });
  }
});

describe("--dev", () => {
  let node;
  let dataDir;
  const dev = { args: ["--dev"], env: { JWT_SECRET: undefined, CARILLON_BIND: undefined } };

  before(async () => {
    dataDir = await mkdtemp(join(tmpdir(), "carillon-test-"));
    node = await startNode({ ...dev, dataDir });
  });
  after(async () => {
    await node?.stop();
    await rm(dataDir, { recursive: true, force: true });
  });

  const mintToken = async (target, user = "alice") => {
    const response = await target.rest("POST", "/dev/token", { json: { userId: user } });
    assert.equal(response.status, 200, response.text);
    return response.body.token;
  };

  test("needs no secret and mints tokens by POST", async () => {
    const token = await mintToken(node);
    const client = await node.connect("alice", { auth: { token } });
    await client.fence();
    assert.equal((await node.get("/api/chat/user/alice/chats", { token })).status, 200);
  });

  test("never by GET", async () => {
    assertProblem(await node.get("/dev/token?userId=alice"), 405, "method_not_allowed");
  });

  for (const [name, headers] of [
    ["a foreign Host", { host: "carillon.example" }],
    ["a foreign Host with the right port", () => ({ host: `evil.example:${node.port}` })],
    ["a foreign Origin", { origin: "http://evil.example" }],
    ["Forwarded", { forwarded: "for=1.2.3.4" }],
    ["X-Forwarded-For", { "x-forwarded-for": "1.2.3.4" }],
    ["X-Forwarded-Host", { "x-forwarded-host": "carillon.example" }],
    ["X-Real-IP", { "x-real-ip": "1.2.3.4" }],
  ]) {
    test(`refuses ${name} on every route`, async () => {
      const given = typeof headers === "function" ? headers() : headers;
      for (const [method, path] of [
        ["POST", "/dev/token"],
        ["GET", "/api/chat/user/alice/chats"],
        ["GET", "/socket.io/?EIO=4&transport=polling"],
      ]) {
        const all = { host: `127.0.0.1:${node.port}`, "content-type": "application/json", ...given };
        const body = method === "POST" ? '{"userId":"alice"}' : undefined;
        const { status, text } = await node.raw(method, path, { headers: all, body });
        assert.equal(status, 403, `${method} ${path}: ${text}`);
      }
    });
  }

  for (const host of ["localhost", "127.0.0.1"]) {
    test(`answers to ${host}`, async () => {
      const { status } = await node.raw("GET", "/socket.io/?EIO=4&transport=polling", { headers: { host: `${host}:${node.port}` } });
      assert.equal(status, 200);
    });
  }

  test("keeps its secret to itself, and tokens over a restart", async () => {
    const token = await mintToken(node);
    const files = await readdir(dataDir);
    for (const file of files) {
      const { mode } = await stat(join(dataDir, file));
      if (/secret/i.test(file)) assert.equal(mode & 0o777, 0o600, file);
    }
    assert.ok(files.some((file) => /secret/i.test(file)), files.join());
    await node.stop();
    node = await startNode({ ...dev, dataDir });
    assert.equal((await node.get("/api/chat/user/alice/chats", { token })).status, 200);
  });

  test("prints how to mint a token and a line for the official client", () => {
    assert.match(node.process.output, /\/dev\/token/);
    assert.match(node.process.output, /socket\.io-client/);
  });

  test("without it there is no minting", async () => {
    const plain = await startNode();
    try {
      assertProblem(await plain.rest("POST", "/dev/token", { json: { userId: "alice" } }), 404, "not_found");
    } finally {
      await plain.stop();
    }
  });
});

describe("the command line", () => {
  test("carillon token mints what a node with the same secret takes", async () => {
    const { code, output } = await run(["token", "--user", "alice"], { JWT_SECRET: SECRET });
    assert.equal(code, 0, output);
    const token = output.match(/[\w-]+\.[\w-]+\.[\w-]+/)?.[0];
    const node = await startNode();
    try {
      await node.connect("alice", { auth: { token } });
    } finally {
      await node.stop();
    }
  });

  test("an unknown setting is refused by name", async () => {
    const { code, output } = await run(["serve", "--no-such-flag"], { JWT_SECRET: SECRET });
    assert.notEqual(code, 0);
    assert.match(output, /no-such-flag/);
  });

  test("a value that is none is refused by name", async () => {
    const { code, output } = await run(["serve"], { JWT_SECRET: SECRET, PORT: "many" });
    assert.notEqual(code, 0);
    assert.match(output, /PORT/i);
  });

  test("a port in use is said, and the node ends", async () => {
    const node = await startNode();
    try {
      const { code, output } = await run(["serve"], {
        JWT_SECRET: SECRET,
        PORT: String(node.port),
        CARILLON_BIND: "127.0.0.1",
        CARILLON_DATA_DIR: join(tmpdir(), `carillon-test-${process.pid}`),
      });
      assert.notEqual(code, 0);
      assert.match(output, /in use/i);
    } finally {
      await node.stop();
      await rm(join(tmpdir(), `carillon-test-${process.pid}`), { recursive: true, force: true });
    }
  });
});

