// `carillon check` against a real Redis and a real database.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { run, SECRET } from "../carillon.js";
import { Database, RedisServer } from "../servers.js";

let redis;
let database;
before(async () => {
  redis = await RedisServer.start();
  database = new Database();
});
after(async () => {
  await redis?.kill();
  await database?.drop();
});

async function check() {
  const env = { JWT_SECRET: SECRET, CARILLON_BIND: "127.0.0.1", PORT: "0", REDIS_URL: redis.url, MONGODB_URI: database.uri };
  const { code, output } = await run(["check", "--json"], env);
  const { checks } = JSON.parse(output);
  return { code, output, found: (name) => checks.find(({ what }) => what === name) };
}

test("servers that are fit are described, and nothing stays of the question", async () => {
  const { code, output, found } = await check();
  assert.equal(code, 0, output);
  for (const name of ["MongoDB", "MongoDB clock", "Redis", "Redis events", "Redis clock", "Redis memory", "Redis buffers"]) {
    assert.equal(found(name)?.outcome, "ok", `${name}: ${output}`);
  }
  assert.match(found("MongoDB").found, new RegExp(`database ${database.name} can be written, nothing of Carillon in it yet$`));
  assert.match(found("Redis").found, /^Redis \d+\.\d+\.\d+, one server, runs scripts and takes writes$/);
  assert.equal(found("data folder"), undefined, "a node with MongoDB keeps nothing there");

  const documents = await database.use((db) => db.collection("carillon_meta").countDocuments());
  assert.equal(documents, 0);
  assert.equal(await redis.command("EXISTS", "{carillon}:secret", "{carillon}:nodes"), 0);
});

test("a Redis that forgets or cuts its subscribers off is a warning, one that takes no writes a failure", async () => {
  await redis.command("CONFIG", "SET", "maxmemory-policy", "allkeys-lru");
  await redis.command("CONFIG", "SET", "client-output-buffer-limit", "pubsub 1048576 0 0");
  const unwise = await check();
  assert.equal(unwise.code, 0);
  assert.deepEqual([unwise.found("Redis memory").outcome, unwise.found("Redis buffers").outcome], ["warning", "warning"]);
  assert.match(unwise.found("Redis buffers").found, /1 MiB/);

  await redis.command("REPLICAOF", "127.0.0.1", "1");
  const readOnly = await check();
  assert.equal(readOnly.code, 1);
  assert.equal(readOnly.found("Redis").outcome, "failed");
});
