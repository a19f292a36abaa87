// Who is online, with devices on several nodes, nodes that die, and users who change nodes.

import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { assertHas, assertWithin, ISO } from "../assertions.js";
import { someone } from "../carillon.js";
import { startCluster } from "../cluster.js";
import { eventually } from "../process.js";

/** For as long as a dead node's users count as online. */
const LEASE_MS = 5_000;
/** For as long as one who has gone may come back unnoticed. */
const GRACE_MS = 400;

let cluster;
let nodes;
let watchers;

before(async () => {
  cluster = await startCluster();
  nodes = cluster.nodes;
  watchers = await cluster.connectTo([0, "watcher a"], [1, "watcher b"], [2, "watcher c"]);
});
after(() => cluster?.stop());

const told = (client, user) =>
  client.all("userStatusChange").filter(({ userId }) => userId === user).map(({ status }) => status);
const listed = async (client, user) => (await client.ask("getOnlineUsers")).find(({ userId }) => userId === user);

/** All watchers are told. */
async function assertTold(user, status, by = watchers) {
  const match = (change) => change.userId === user && change.status === status;
  const news = by.map(async (watcher) => {
    const change = await watcher.next("userStatusChange", { match }).catch(() => undefined);
    assert.ok(change, `${user} ${status} was not told; so far: ${told(watcher, user)}`);
    return change;
  });
  const changes = await Promise.all(news);
  for (const change of changes) assertHas(change, { timestamp: ISO });
}

/** All that happened before has been told: somebody who comes after it is. */
async function settled(by = watchers) {
  const marker = someone("marker");
  const client = await nodes[nodes.length - 1].connect(marker);
  await assertTold(marker, "online", by);
  client.close();
}

describe("a user on several nodes", () => {
  test("comes with the first device and goes with the last, told to every node once", async () => {
    const user = someone();
    const devices = [];
    for (const node of [...nodes, ...nodes]) devices.push(await node.connect(user));
    await assertTold(user, "online");
    for (const watcher of watchers) assert.equal((await watcher.ask("getOnlineUsers")).filter(({ userId }) => userId === user).length, 1);

    for (const device of devices.slice(1)) device.close();
    await settled();
    for (const watcher of watchers) assert.deepEqual(told(watcher, user), ["online"]);
    devices[0].close();
    await assertTold(user, "offline");
    await settled();
    for (const watcher of watchers) {
      assert.deepEqual(told(watcher, user), ["online", "offline"]);
      assert.equal(await listed(watcher, user), undefined);
    }
  });

  for (const [status, change] of [["online", async (user) => nodes[0].connect(user)], ["offline", async (_, device) => device.close()]]) {
    test(`is told to be ${status} within a second`, async () => {
      await assertWithin(1_000, async () => {
        const user = someone();
        const device = status === "offline" && (await nodes[0].connect(user));
        if (device) await assertTold(user, "online");
        const since = performance.now();
        await change(user, device);
        await assertTold(user, status);
        return performance.now() - since;
      });
    });
  }

  test("many come and go on every node at once: each change told once to each watcher", async () => {
    const users = Array.from({ length: 60 }, () => someone());
    const clients = await Promise.all(users.flatMap((user, i) => [nodes[i % 3].connect(user), nodes[(i + 1) % 3].connect(user)]));
    for (const user of users) await assertTold(user, "online");
    for (const client of clients) client.close();
    for (const user of users) await assertTold(user, "offline");
    await settled();
    for (const watcher of watchers) for (const user of users) assert.deepEqual(told(watcher, user), ["online", "offline"], user);
  });

  test("lastSeen is that of the latest connection on whichever node", async () => {
    const user = someone();
    await nodes[0].connect(user);
    const first = await eventually(() => listed(watchers[1], user));
    await eventually(() => new Date().toISOString() > first.lastSeen);
    await nodes[1].connect(user);
    for (const watcher of watchers) {
      const isNewer = async () => (await listed(watcher, user)).lastSeen > first.lastSeen;
      await eventually(isNewer, { what: `a time after ${first.lastSeen}` });
    }
  });

  test("one who changes nodes within the grace is not told of", async () => {
    const user = someone();
    let device = await nodes[0].connect(user);
    await assertTold(user, "online");
    let isLate = false;
    for (let i = 1; i <= 6; i += 1) {
      const since = performance.now();
      device.close();
      device = await nodes[i % 3].connect(user);
      isLate ||= performance.now() - since > GRACE_MS / 2;
    }
    await settled();
    // On a machine that is so busy the grace may have passed.
    for (const watcher of watchers) {
      const changes = told(watcher, user);
      assert.deepEqual(changes, isLate ? changes.map((_, place) => (place % 2 ? "offline" : "online")) : ["online"]);
    }
    device.close();
    await assertTold(user, "offline");
  });
});

describe("a node that is killed", () => {
  test("its users are offline with the end of its lease, told once; who is elsewhere as well, or returned, is not told of", async () => {
    const gone = Array.from({ length: 20 }, () => someone("gone"));
    const both = Array.from({ length: 5 }, () => someone("both"));
    const back = Array.from({ length: 5 }, () => someone("back"));
    const connect = (index, users) => Promise.all(users.map((user) => nodes[index].connect(user)));
    await connect(0, [...gone, ...both, ...back]);
    await connect(1, both);
    for (const user of [...gone, ...both, ...back]) await assertTold(user, "online");

    const since = performance.now();
    nodes[0].process.signal("SIGKILL");
    await nodes[0].process.exited;
    await connect(2, back);
    const rest = watchers.slice(1);
    for (const user of gone) await assertTold(user, "offline", rest);
    const seconds = (performance.now() - since) / 1_000;
    // No second lease is waited for.
    assert.ok(seconds < (2 * LEASE_MS) / 1_000, `${seconds} s`);

    await settled(rest);
    for (const watcher of rest) {
      for (const user of gone) assert.deepEqual(told(watcher, user), ["online", "offline"], user);
      for (const user of both) assert.deepEqual(told(watcher, user), ["online"], user);
      for (const user of back) assert.ok(!told(watcher, user).includes("offline"), `${user}: ${told(watcher, user)}`);
      for (const user of gone) assert.equal(await listed(watcher, user), undefined);
      for (const user of [...both, ...back]) assert.ok(await listed(watcher, user));
    }
    await cluster.restart(0);
    watchers[0] = await nodes[0].connect("watcher a");
  });

  test("another on its port starts without users of the old one", async () => {
    const user = someone();
    await nodes[0].connect(user);
    await assertTold(user, "online");
    nodes[0].process.signal("SIGKILL");
    await cluster.restart(0);
    const rest = watchers.slice(1);
    await assertTold(user, "offline", rest);
    watchers[0] = await nodes[0].connect("watcher a");
    assert.equal(await listed(watchers[0], user), undefined);
  });
});

describe("a node that stands still for longer than its lease, and goes on", () => {
  test("its users are told offline, and online again once; who is elsewhere as well is not told of", async () => {
    const still = Array.from({ length: 20 }, () => someone("still"));
    const both = Array.from({ length: 5 }, () => someone("both"));
    const clients = await Promise.all(still.map((user) => nodes[0].connect(user)));
    await Promise.all(both.flatMap((user) => [nodes[0].connect(user), nodes[1].connect(user)]));
    for (const user of [...still, ...both]) await assertTold(user, "online");

    const rest = watchers.slice(1);
    nodes[0].process.signal("SIGSTOP");
    for (const user of still) await assertTold(user, "offline", rest);
    for (const watcher of rest) assert.equal(await listed(watcher, still[0]), undefined);
    nodes[0].process.signal("SIGCONT");
    for (const user of still) await assertTold(user, "online", rest);

    await settled(rest);
    for (const watcher of rest) {
      for (const user of still) assert.deepEqual(told(watcher, user), ["online", "offline", "online"], user);
      for (const user of both) assert.deepEqual(told(watcher, user), ["online"], user);
    }
    for (const watcher of watchers) for (const user of [...still, ...both]) assert.ok(await listed(watcher, user), user);
    for (const client of clients) assert.ok(client.socket.connected);

    for (const client of clients) client.close();
    for (const user of still) await assertTold(user, "offline");
    await settled();
    for (const watcher of rest) {
      for (const user of still) assert.deepEqual(told(watcher, user), ["online", "offline", "online", "offline"], user);
    }
  });
});

describe("a node that drains", () => {
  test("hands its users over to the others; none is told offline who has returned", async () => {
    const users = Array.from({ length: 10 }, () => someone());
    const options = { reconnection: true, reconnectionDelay: 20, reconnectionDelayMax: 50 };
    const clients = await Promise.all(users.map((user) => nodes[0].connect(user, options)));
    for (const user of users) await assertTold(user, "online");
    for (const client of clients) client.moveTo(nodes[1]);
    nodes[0].process.signal("SIGTERM");
    for (const client of clients) await client.next("connect");
    assert.deepEqual(await nodes[0].process.exited, { code: 0, signal: null });

    const rest = watchers.slice(1);
    await settled(rest);
    for (const watcher of rest) {
      for (const user of users) {
        assert.ok(!told(watcher, user).includes("offline"), `${user}: ${told(watcher, user)}`);
        assert.ok(await listed(watcher, user));
      }
    }
    for (const client of clients) client.close();
    for (const user of users) await assertTold(user, "offline", rest);
    await cluster.restart(0);
  });
});
