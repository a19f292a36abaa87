// Who is online, and who is told.

import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { assertHas, assertWithin, ISO } from "./assertions.js";
import { someone } from "./carillon.js";
import { eventually } from "./process.js";
import { describeOneNode, start } from "./topology.js";
import { frame, heldPoll, openWebSocket } from "./tcp.js";
import { Frames, Polling } from "./wire.js";

let node;
let watcher;

before(async () => {
  node = await start({ env: { SOCKET_PING_INTERVAL: "500", SOCKET_PING_TIMEOUT: "5000" } });
  watcher = await node.connect("watcher");
});
after(() => node?.stop());

const about = (user) => ({ match: ({ userId }) => userId === user });
const listed = async (client, user) => (await client.ask("getOnlineUsers")).find(({ userId }) => userId === user);
const told = (client, user) =>
  client.all("userStatusChange").filter(({ userId }) => userId === user).map(({ status }) => status);

/** Waits for `userStatusChange` about a user and returns how long it took, in milliseconds. */
async function offlineAfter(user) {
  const since = performance.now();
  assertHas(await watcher.next("userStatusChange", about(user)), { userId: user, status: "offline", timestamp: ISO });
  return performance.now() - since;
}

describe("online", () => {
  test("a first connection is announced to everyone else, within a second", async () => {
    await assertWithin(1_000, async () => {
      const user = someone();
      const since = performance.now();
      const client = await node.connect(user);
      const news = await watcher.next("userStatusChange", about(user));
      const took = performance.now() - since;
      assertHas(news, { userId: user, status: "online", timestamp: ISO });
      await client.fence();
      assert.deepEqual(told(client, user), []);
      client.close();
      return took;
    });
  });

  test("a second device is not", async () => {
    const user = someone();
    const marker = someone("marker");
    await node.connectAll(user);
    // Nodes tell of what happens on them, each for itself.
    await watcher.next("userStatusChange", about(user));
    await node.connectAll(user);
    await node.connectAll(marker);
    await watcher.next("userStatusChange", about(marker));
    assert.deepEqual(told(watcher, user), ["online"]);
  });

  test("lastSeen is the time of the latest connection", async () => {
    const user = someone();
    await node.connectAll(user);
    const first = await eventually(() => listed(watcher, user));
    await eventually(() => new Date().toISOString() > first.lastSeen);
    await node.connectAll(user);
    const isNewer = (entry) => entry.lastSeen > first.lastSeen && entry;
    const second = await eventually(async () => isNewer(await listed(watcher, user)), { what: "a later time" });
    assertHas(first, { userId: user, lastSeen: ISO });
    assert.ok(Math.abs(Date.now() - Date.parse(second.lastSeen)) < 60_000);
  });

  test("each user is listed once", async () => {
    const user = someone();
    await node.connectAll(user, user, user);
    await watcher.next("userStatusChange", about(user));
    const list = await watcher.ask("getOnlineUsers");
    assert.equal(list.filter(({ userId }) => userId === user).length, 1);
  });
});

describe("offline, within a second however the connection ended", () => {
  for (const transports of [["polling"], ["websocket"]]) {
    test(`by disconnect() over ${transports}`, async () => {
      await assertWithin(1_000, async () => {
        const user = someone();
        const client = await node.connect(user, { transports });
        await watcher.next("userStatusChange", about(user));
        client.close();
        const took = await offlineAfter(user);
        assert.equal(await listed(watcher, user), undefined);
        return took;
      });
    });

    test(`by a closed transport over ${transports}`, async () => {
      await assertWithin(1_000, async () => {
        const user = someone();
        const client = await node.connect(user, { transports });
        await watcher.next("userStatusChange", about(user));
        await client.drop();
        return offlineAfter(user);
      });
    });
  }

  test("by a connection cut without a word", async () => {
    await assertWithin(1_000, async () => {
      const user = someone();
      const frames = await Frames.open(node.endpoint);
      frames.send(`40${JSON.stringify({ token: node.token(user) })}`);
      await watcher.next("userStatusChange", about(user));
      frames.terminate();
      return offlineAfter(user);
    });
  });

  test("by a poll that its client gave up", async () => {
    await assertWithin(1_000, async () => {
      const user = someone();
      const session = await Polling.open(node.endpoint);
      await session.post(`40${JSON.stringify({ token: node.token(user) })}`);
      await session.packets();
      await watcher.next("userStatusChange", about(user));
      (await heldPoll(session)).destroy();
      return offlineAfter(user);
    });
  });

  test("by silence, once the heartbeat has noticed", async () => {
    await assertWithin(500 + 5_000 + 1_000, async () => {
      const user = someone();
      const frames = await Frames.open(node.endpoint);
      frames.send(`40${JSON.stringify({ token: node.token(user) })}`);
      await watcher.next("userStatusChange", about(user));
      return offlineAfter(user);
    });
  });

  test("not before the last device has gone", async () => {
    const [user, marker] = [someone(), someone("marker")];
    const [desk, phone] = await node.connectAll(user, user);
    const [other] = await node.connectAll(marker);
    await watcher.next("userStatusChange", about(user));
    await watcher.next("userStatusChange", about(marker));
    desk.close();
    other.close();
    await watcher.next("userStatusChange", about(marker));
    assert.deepEqual(told(watcher, user), ["online"]);
    assert.ok(await listed(watcher, user));
    phone.close();
    await watcher.next("userStatusChange", about(user));
    assert.deepEqual(told(watcher, user), ["online", "offline"]);
  });
});

describe("coming back", () => {
  test("a user who recovers is announced online again", async () => {
    const user = someone();
    const client = await node.connect(user);
    await client.join(`${user}_zoe`);
    await watcher.next("userStatusChange", about(user));
    await client.drop();
    await watcher.next("userStatusChange", about(user));
    client.socket.connect();
    await client.next("connect");
    assert.ok(client.socket.recovered);
    assertHas(await watcher.next("userStatusChange", about(user)), { status: "online" });
  });

  test("flapping ends in the truth", async () => {
    const user = someone();
    for (let i = 0; i < 5; i += 1) (await node.connect(user)).close();
    const client = await node.connect(user);
    await eventually(async () => (await listed(watcher, user)) !== undefined, { what: "the user on the list" });
    // Nodes tell of what happens on them, each for itself and a moment later.
    const isTold = (status) => eventually(() => told(watcher, user).at(-1) === status, { what: `${status} in the end` });
    await isTold("online");
    client.close();
    await eventually(async () => (await listed(watcher, user)) === undefined, { what: "the user's end on the list" });
    await isTold("offline");
    const marker = someone("marker");
    await node.connectAll(marker);
    await watcher.next("userStatusChange", about(marker));
    await isTold("offline");
    const changes = told(watcher, user);
    for (const [index, status] of changes.entries()) assert.equal(status, index % 2 ? "offline" : "online");
  });
});

describe("CARILLON_PRESENCE=contacts", () => {
  let private_;

  before(async () => {
    private_ = await start({ env: { CARILLON_PRESENCE: "contacts" } });
  });
  after(() => private_?.stop());

  test("only those who have both written to each other see one another", async () => {
    const [alice, bob, eve] = await private_.connectAll("alice", "bob", "eve");
    await eve.send("alice", "one-sided");
    await alice.send("bob", "hi");
    assert.equal(await listed(alice, "bob"), undefined);
    await bob.send("alice", "hi");

    assert.ok(await listed(alice, "bob"));
    assert.ok(await listed(bob, "alice"));
    assert.equal(await listed(eve, "alice"), undefined);
    assert.equal(await listed(alice, "eve"), undefined);

    // That he came may be told a moment later, and then of one who has become a contact.
    const isNow = (status) => alice.next("userStatusChange", { match: (news) => news.userId === "bob" && news.status === status });
    bob.close();
    await isNow("offline");
    await private_.connectAll("bob");
    await isNow("online");
    await eve.fence();
    assert.deepEqual(eve.all("userStatusChange"), []);
    assert.deepEqual(told(alice, "eve"), []);
  });
});

describeOneNode("many who come within a moment", () => {
  /** For so long changes are gathered before they are told. */
  const WINDOW_MS = 40;
  const connect = (user) => `40${JSON.stringify({ token: quiet.token(user) })}`;
  const changes = (text) => [...text.matchAll(/\["userStatusChange",\{"userId":"(many[^"]*)"/g)].map(([, user]) => user);
  let quiet;

  before(async () => {
    quiet = await start();
  });
  after(() => quiet?.stop());

  test("are told of in one write for each window, and in one payload to one who polls", async () => {
    const { port } = new URL(quiet.endpoint);
    const watching = await openWebSocket(port);
    watching.write(frame(connect("watching")));
    await watching.until(({ text }) => text.includes("40{"), "CONNECT");
    const polling = await Polling.open(quiet.endpoint);
    await polling.post(connect("polling"));
    await polling.packets();
    let writes = 0;
    watching.socket.on("data", (data) => (writes += data.includes("many") ? 1 : 0));

    const users = Array.from({ length: 48 }, () => someone("many"));
    const sockets = await Promise.all(users.map(() => Frames.open(quiet.endpoint)));
    const since = performance.now();
    // One after the other, so that each is told in a write of its own unless the node waits for more.
    for (const [index, user] of users.entries()) {
      sockets[index].send(connect(user));
      await sockets[index].until((packet) => packet.startsWith("40"));
    }
    await watching.until(({ text }) => changes(text).length === users.length, "everybody's change");
    const windows = Math.ceil((performance.now() - since) / WINDOW_MS);

    assert.deepEqual(changes(watching.text).sort(), [...users].sort());
    // One for each window, and one more for each 32 changes in it.
    assert.ok(writes <= windows + 1 + users.length / 32, `${writes} writes in ${windows} windows`);
    // All of it waits there; the last of it may do so a moment later than it is written to the other.
    const payloads = [];
    while (changes(payloads.join()).length < users.length) payloads.push(await polling.packets());
    assert.deepEqual(changes(payloads.join()).sort(), [...users].sort());
    assert.ok(payloads.length <= 2, `${payloads.length} payloads`);
    watching.destroy();
    for (const socket of sockets) socket.terminate();
  });
});
