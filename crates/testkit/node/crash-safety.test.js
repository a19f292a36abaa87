// What is acknowledged is there: when the node is killed, when its disk is full, when its database is locked or read-only.

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { chmod, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, test } from "node:test";
import { assertConsecutive, assertHas, assertProblem } from "./assertions.js";
import { chatOf, run, SECRET, startNode } from "./carillon.js";
import { binary, eventually, freePort } from "./process.js";
import { within } from "./wire.js";

const MAX_PAGE = 100;
const DATABASE = "carillon.db";

/** A folder for a test's data; `use` is called with it, and it goes afterwards. */
async function withFolder(use) {
  const dataDir = await mkdtemp(join(tmpdir(), "carillon-test-"));
  try {
    await use(dataDir);
  } finally {
    await rm(dataDir, { recursive: true, force: true });
  }
}

/** The whole of a chat, oldest first. */
async function history(node, user, other) {
  const messages = [];
  for (;;) {
    const path = `/api/chat/messages/${chatOf(user, other)}?afterSeq=${messages.at(-1)?.seq ?? 0}&limit=${MAX_PAGE}`;
    const { status, body, text } = await node.get(path, { as: user });
    assert.equal(status, 200, text);
    messages.push(...body.messages);
    if (!body.hasMore) return messages;
  }
}

/** SQLite's own integrity check, by `carillon check`. */
async function assertWhole(dataDir) {
  const { code, output } = await run(["check", "--json"], { JWT_SECRET: SECRET, CARILLON_DATA_DIR: dataDir, PORT: "0" });
  assert.equal(code, 0, output);
  const database = JSON.parse(output).checks.find(({ what }) => what === "database");
  assert.equal(database.outcome, "ok", JSON.stringify(database));
}

/** A user who sends to one other and resends what was not confirmed, under the same `clientMessageId`, in the same order. */
class Writer {
  /** What was not confirmed yet: ids, oldest first. */
  #unclear = [];
  #sent = 0;
  /** The answers to what was confirmed, by id, in the order of sending. */
  confirmed = new Map();
  /** How many were sent a second time. */
  resent = 0;

  constructor(user, other) {
    this.user = user;
    this.other = other;
  }

  /** Resends, then sends `count` more without waiting; `acknowledged` is called with each answer. */
  burst(client, count, acknowledged) {
    this.resent += this.#unclear.length;
    for (let i = 0; i < count; i += 1) this.#unclear.push(`${this.user} ${(this.#sent += 1)}`);
    for (const clientMessageId of this.#unclear) {
      client.socket.emit("sendMessage", this.#message(clientMessageId), (answer) => {
        this.confirmed.set(clientMessageId, answer);
        acknowledged(answer);
      });
    }
  }

  /** What is still unclear is so no more once it was not confirmed in the last life. */
  settle() {
    this.#unclear = this.#unclear.filter((id) => !this.confirmed.has(id));
  }

  get ids() {
    return Array.from({ length: this.#sent }, (_, index) => `${this.user} ${index + 1}`);
  }

  get isClear() {
    return this.#unclear.length === 0;
  }

  #message(clientMessageId) {
    return { receiverId: this.other, message: clientMessageId, senderName: "S", receiverName: "R", clientMessageId };
  }
}

describe("SIGKILL in the middle of a burst", () => {
  const LIVES = 50;
  const BURST = 12;

  test(`${LIVES} times: every acknowledged message is there once, in order, without a hole in seq`, () =>
    withFolder(async (dataDir) => {
      const port = await freePort();
      const start = () => startNode({ dataDir, port, env: { CARILLON_LIMITS: "off" } });
      const chats = [["alice", "bob"], ["carol", "dave"]];
      const writers = chats.flatMap(([one, two]) => [new Writer(one, two), new Writer(two, one)]);

      for (let life = 0; life < LIVES; life += 1) {
        const node = await start();
        const clients = await Promise.all(writers.map(({ user }) => node.connect(user)));
        // Anywhere from before the first confirmation to after the last.
        let left = life % (writers.length * BURST);
        await within(new Promise((resolve) => {
          if (left === 0) resolve();
          writers.forEach((writer, index) => writer.burst(clients[index], BURST, () => (left -= 1) === 0 && resolve()));
        }), "the acknowledgements before the kill");
        node.process.signal("SIGKILL");
        assert.deepEqual(await node.process.exited, { code: null, signal: "SIGKILL" });
        await node.stop();
        for (const writer of writers) writer.settle();
      }
      await assertWhole(dataDir);

      const node = await start();
      try {
        for (const writer of writers) {
          const client = await node.connect(writer.user);
          writer.burst(client, 1, () => {});
          await eventually(() => (writer.settle(), writer.isClear), { what: "the last confirmation" });
        }
        for (const [one, two] of chats) {
          const messages = await history(node, one, two);
          assertConsecutive(messages.map(({ seq }) => seq));
          assert.deepEqual(messages.map(({ timestamp }) => timestamp).sort(), messages.map(({ timestamp }) => timestamp));
          for (const { user, ids, confirmed } of writers.filter(({ user }) => user === one || user === two)) {
            const own = messages.filter(({ senderId }) => senderId === user);
            assert.deepEqual(own.map(({ message }) => message), ids, "once each, in the order of sending");
            assert.deepEqual(
              own.map(({ _id, seq, timestamp }) => ({ messageId: _id, seq, timestamp })),
              ids.map((id) => confirmed.get(id)).map(({ messageId, seq, timestamp }) => ({ messageId, seq, timestamp })),
            );
          }
          const { body } = await node.get(`/api/chat/user/${one}/unread-count`, { as: one });
          assert.equal(body.unreadCount, messages.filter(({ senderId }) => senderId === two).length);
        }
        assert.ok(writers.some(({ resent }) => resent > 0), "nothing was ever unclear");
      } finally {
        await node.stop();
      }
      await assertWhole(dataDir);
    }));
});

/** Creates a notification over REST. */
const notify = (node) =>
  node.rest("POST", "/api/notifications/create", { as: "alice", json: { toUser: "bob", fromUser: "alice", message: "over REST" } });

/**
 * What a node must do whose database fails, and goes again: `fail` brings the failure about, `mend` takes it away. Messages
 * are refused in a way that is worth a retry, on a socket and over REST, and none of them is there; what was there can be
 * read; then a resend is taken.
 */
async function assertRefusesAndRecovers(node, { fail, mend }) {
  const [alice] = await node.connectAll("alice");
  const before = await alice.send("bob", "before", { clientMessageId: "before" });
  assert.equal(before.seq, 1);

  const stored = await fail(alice);
  await alice.fence();
  alice.forget();
  const refused = await alice.send("bob", "refused", { clientMessageId: "refused" });
  assertHas(refused, { error: { code: "unavailable", message: "Failed to send message", retryAfterMs: (millis) => millis > 0 } });
  assertHas(await alice.next("error"), { code: "unavailable", message: "Failed to send message", retryAfterMs: (millis) => millis > 0 });
  const response = await notify(node);
  assertProblem(response, 503, "unavailable");
  assert.ok(Number(response.headers.get("retry-after")) >= 1);
  assert.deepEqual((await history(node, "alice", "bob")).length, 1 + stored, "what is there can be read, what was refused is not there");
  assert.equal((await node.get("/livez")).status, 200);
  await alice.fence();
  assert.deepEqual(alice.all("messageSent"), [], "what was refused was confirmed");

  await mend();
  const again = await eventually(async () => {
    const answer = await alice.send("bob", "refused", { clientMessageId: "refused" });
    return answer.error === undefined && answer;
  }, { every: 50, what: "the recovery" });
  assert.equal(again.seq, 2 + stored);
  assert.equal((await notify(node)).status, 201);
  const messages = await history(node, "alice", "bob");
  assertConsecutive(messages.map(({ seq }) => seq));
  assert.deepEqual([messages[0].message, messages.at(-1).message], ["before", "refused"]);
}

/** A lock of another process on the database; the function gives it back. */
async function lock(dataDir) {
  const child = spawn(binary("examples/lock_database", "CARILLON_LOCK_DATABASE"), [join(dataDir, DATABASE)], { stdio: ["pipe", "pipe", "inherit"] });
  const ended = once(child, "exit");
  const [said] = await within(once(child.stdout, "data"), "the lock");
  assert.equal(said.toString(), "locked\n");
  return async () => {
    child.stdin.end();
    assert.deepEqual(await ended, [0, null]);
  };
}

describe("a database that fails", () => {
  test("a full disk: sends are refused until there is room", () =>
    withFolder(async (dataDir) => {
      // Files may not grow over 1 MiB: as on a full disk, writing fails, and it does so for the superuser, too.
      const blocks = 2 * 1024;
      const under = ["sh", "-c", `trap '' XFSZ; ulimit -S -f ${blocks}; exec "$0" "$@"`];
      const node = await startNode({ dataDir, under, env: { CARILLON_LIMITS: "off" } });
      try {
        await assertRefusesAndRecovers(node, {
          async fail(alice) {
            let [stored, refusals] = [0, 0];
            // After a first refusal there may be room again, where the log could be moved into the database; and for what is
            // smaller than a message.
            while (refusals < 3) {
              const { error } = await alice.send("bob", "x".repeat(1_000));
              if (error) assert.equal(error.code, "unavailable");
              else stored += 1;
              const { status, text } = error ? await notify(node) : { status: 201 };
              assert.ok([201, 503].includes(status), text);
              refusals = status === 503 ? refusals + 1 : 0;
            }
            return stored;
          },
          async mend() {
            const lifted = spawn("prlimit", ["--pid", String(node.process.pid), "--fsize=unlimited"], { stdio: "inherit" });
            assert.deepEqual(await once(lifted, "exit"), [0, null]);
          },
        });
      } finally {
        await node.stop();
      }
      await assertWhole(dataDir);
    }));

  test("a database that another process has locked: sends are refused until it is free", () =>
    withFolder(async (dataDir) => {
      const node = await startNode({ dataDir });
      try {
        let unlock;
        await assertRefusesAndRecovers(node, {
          async fail() {
            unlock = await lock(dataDir);
            return 0;
          },
          mend: () => unlock(),
        });
      } finally {
        await node.stop();
      }
      await assertWhole(dataDir);
    }));

  test("a database that is made read-only: a node that has it open goes on, none starts until it can be written", () =>
    withFolder(async (dataDir) => {
      // The superuser may write everywhere unless that right is taken from it.
      const under = process.getuid() === 0 ? ["setpriv", "--bounding-set=-all", "--inh-caps=-all"] : [];
      const file = join(dataDir, DATABASE);
      const texts = ["before", "refused", "open"];
      let node = await startNode({ dataDir, under });
      try {
        const [alice] = await node.connectAll("alice");
        assert.equal((await alice.send("bob", "before")).seq, 1);
        // After a failure the node opens the database anew, which must not leave it with less than it had.
        const unlock = await lock(dataDir);
        await chmod(file, 0o400);
        assert.equal((await alice.send("bob", "refused", { clientMessageId: "refused" })).error.code, "unavailable");
        await unlock();
        assert.equal((await alice.send("bob", "refused", { clientMessageId: "refused" })).seq, 2);
        assert.equal((await alice.send("bob", "open")).seq, 3);
        assert.deepEqual((await history(node, "alice", "bob")).map(({ message }) => message), texts);
      } finally {
        await node.stop("SIGKILL");
      }

      await assert.rejects(startNode({ dataDir, under }), /ended early[\s\S]*carillon\.db/);
      await chmod(file, 0o600);
      node = await startNode({ dataDir, under });
      try {
        assert.deepEqual((await history(node, "alice", "bob")).map(({ message }) => message), texts);
        const [alice] = await node.connectAll("alice");
        assert.equal((await alice.send("bob", "afterwards")).seq, 4);
      } finally {
        await node.stop();
      }
      await assertWhole(dataDir);
    }));
});
