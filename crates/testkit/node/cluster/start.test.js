// What a node needs to be one of a cluster, and what it refuses.

import assert from "node:assert/strict";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { run, SECRET, someone, startNode } from "../carillon.js";
import { binary, eventually, freePort, ServerProcess } from "../process.js";
import { CuttableWay, Database, RedisServer } from "../servers.js";

let redis;
let database;

before(async () => {
  redis = await RedisServer.start();
  database = new Database();
});
after(() => Promise.all([redis?.kill(), database?.drop()]));

const serve = async (env) => run(["serve"], { JWT_SECRET: SECRET, CARILLON_BIND: "127.0.0.1", PORT: String(await freePort()), ...env });

describe("refused with the reason", () => {
  test("Redis without a shared store", async () => {
    const { code, output } = await serve({ REDIS_URL: redis.url });
    assert.notEqual(code, 0);
    assert.match(output, /REDIS_URL/);
    assert.match(output, /MONGODB_URI/);
  });

  test("two nodes on one SQLite file", async () => {
    const dataDir = await mkdtemp(join(tmpdir(), "carillon-test-"));
    const node = await startNode({ dataDir });
    try {
      const { code, output } = await serve({ CARILLON_DATA_DIR: dataDir });
      assert.notEqual(code, 0);
      assert.match(output, /MONGODB_URI|another node|in use/i);
    } finally {
      await node.stop();
      await rm(dataDir, { recursive: true, force: true });
    }
  });

  for (const [name, value] of [
    ["REDIS_URL", "http://127.0.0.1:1"],
    ["REDIS_URL", "nonsense"],
    ["MONGODB_URI", "redis://127.0.0.1:1/x"],
    ["MONGODB_URI", "nonsense"],
  ]) {
    test(`${name}=${value}`, async () => {
      const { code, output } = await serve({ REDIS_URL: redis.url, MONGODB_URI: database.uri, [name]: value });
      assert.notEqual(code, 0);
      assert.match(output, new RegExp(name));
    });
  }
});

describe("a start before its servers", () => {
  for (const [name, of] of [["Redis", "redis"], ["the database", "database"]]) {
    test(`waits, not ready, and says for what: ${name}`, async () => {
      const way = await CuttableWay.to(of === "redis" ? { host: "127.0.0.1", port: redis.port } : database.address);
      await way.cut();
      const port = await freePort();
      const dataDir = await mkdtemp(join(tmpdir(), "carillon-test-"));
      const node = new ServerProcess(binary("carillon", "CARILLON_BIN"), ["serve"], {
        PATH: process.env.PATH,
        JWT_SECRET: SECRET,
        CARILLON_BIND: "127.0.0.1",
        CARILLON_DATA_DIR: dataDir,
        PORT: String(port),
        REDIS_URL: of === "redis" ? `redis://127.0.0.1:${way.port}` : redis.url,
        MONGODB_URI: of === "database" ? database.through(way) : database.uri,
      });
      try {
        await node.answers(`http://127.0.0.1:${port}/livez`, 200);
        await node.answers(`http://127.0.0.1:${port}/readyz`, 503);
        assert.equal((await fetch(`http://127.0.0.1:${port}/socket.io/?EIO=4&transport=polling`)).status, 503);
        const words = of === "redis" ? /redis|backplane/i : /mongo|database|store/i;
        await eventually(() => words.test(node.output), { what: `a word about ${name}` });
        assert.equal(node.end, undefined);
        await way.mend();
        await node.answers(`http://127.0.0.1:${port}/readyz`, 200);
      } finally {
        await node.stop();
        await way.cut();
        await rm(dataDir, { recursive: true, force: true });
      }
    });
  }
});

describe("a database that holds the legacy application's collections", () => {
  test("is fine: they are left alone, with a word about an import", async () => {
    const legacy = new Database();
    const documents = { chatboxes: [{ _id: 1, chatboxId: "a_b", messages: [{ message: "old" }] }], chatnotifications: [{ _id: 2 }] };
    try {
      await legacy.use(async (db) => {
        for (const [name, list] of Object.entries(documents)) await db.collection(name).insertMany(structuredClone(list));
      });
      const node = await startNode({ env: { REDIS_URL: redis.url, MONGODB_URI: legacy.uri } });
      try {
        await eventually(() => /import/i.test(node.process.output), { what: "a word about an import" });
        const [alice] = await node.connectAll(someone());
        assert.equal((await alice.send("bob", "new")).seq, 1);
      } finally {
        await node.stop();
      }
      await legacy.use(async (db) => {
        for (const [name, list] of Object.entries(documents)) {
          assert.deepEqual(await db.collection(name).find().toArray(), list);
          assert.equal((await db.collection(name).indexes()).length, 1, `indexes of ${name}`);
        }
      });
    } finally {
      await legacy.drop();
    }
  });
});
