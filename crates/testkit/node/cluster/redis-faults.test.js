// Redis restarted, away and frozen: noticed, said, survived; afterwards everybody gets what they missed.

import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { assertHas } from "../assertions.js";
import { chatOf, someone } from "../carillon.js";
import { startCluster } from "../cluster.js";
import { eventually } from "../process.js";
import { CuttableWay } from "../servers.js";
import { Polling } from "../wire.js";
import { Traffic } from "./traffic.js";

/** How long Redis stays away. A minute is worth a run by itself. */
const AWAY_MS = Number(process.env.CARILLON_TEST_OUTAGE_MS ?? 7_000);
/** How soon that is noticed: three seconds, and several times as much for a machine that is busy. */
const NOTICED_MS = 20_000;

let cluster;
let nodes;
const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

before(async () => {
  cluster = await startCluster({ env: { CARILLON_LIMITS: "off" } });
  nodes = cluster.nodes;
});
after(async () => {
  await Promise.all([failover.way?.cut(), failover.master?.kill()]);
  await cluster?.stop();
});

const verbose = async (node) => (await node.get("/readyz?verbose")).body;

/** Each node says by metric and health that its backplane is `up` or not; it stays alive and ready meanwhile. */
async function assertAllSay(up, within) {
  await eventually(
    async () => {
      const states = await Promise.all(nodes.map((node) => node.metric("carillon_backplane_up")));
      return states.every((state) => state === (up ? 1 : 0));
    },
    { within, what: `carillon_backplane_up ${up ? 1 : 0} on each node` },
  );
  for (const node of nodes) {
    assert.equal((await verbose(node)).backplane, up ? "up" : "down");
    for (const path of ["/livez", "/readyz"]) assert.equal((await node.get(path)).status, 200, path);
  }
}

/** A replica that takes over the address of a dead master; what it holds is all but the last moment. */
const failover = {
  master: undefined,
  replica: undefined,
  way: undefined,

  async harm() {
    this.master ??= cluster.redis;
    this.replica = await this.master.replica();
    await this.master.kill();
    await this.way?.cut();
  },

  async heal() {
    await this.replica.command("REPLICAOF", "NO", "ONE");
    this.way = await CuttableWay.to({ host: "127.0.0.1", port: this.replica.port }, cluster.redis.port);
    this.master = this.replica;
  },
};

const FAULTS = [
  {
    name: "killed and started again empty",
    harm: () => cluster.redis.kill(),
    heal: () => cluster.redis.start(),
  },
  {
    name: "frozen and thawed",
    harm: () => cluster.redis.freeze(),
    heal: () => cluster.redis.thaw(),
  },
  {
    name: "failed over to its replica",
    harm: () => failover.harm(),
    heal: () => failover.heal(),
  },
];

for (const { name, harm, heal } of FAULTS) {
  describe(`Redis ${name}`, () => {
    test("is noticed in time; local service goes on; what others missed they get in order", async () => {
      const users = [someone("alice"), someone("bob")];
      const chatboxId = chatOf(...users);
      const [alice, near, far, farther, watcher] = await cluster.connectTo(
        [0, users[0]],
        [0, users[1]],
        [1, users[1]],
        [2, users[1]],
        [2, someone("watcher")],
      );
      const lost = await nodes[1].connect(users[1]);
      const clients = [alice, near, far, farther, lost];
      await Promise.all(clients.map((client) => client.join(chatboxId)));
      await alice.send(users[1], "before it");
      await Promise.all(clients.map((client) => client.next("receiveMessage")));
      const foreign = await Polling.open(nodes[0].endpoint);
      await eventually(async () => (await nodes[1].metric("carillon_backplane_up")) === 1);
      watcher.forget();

      const since = performance.now();
      await harm();
      await assertAllSay(false, NOTICED_MS);

      // Local service: confirmed, in history, delivered on this node, in order.
      for (let i = 0; i < 10; i += 1) {
        const answer = await alice.send(users[1], `meanwhile ${i}`);
        assertHas(answer, { seq: i + 2 }, JSON.stringify(answer));
      }
      await eventually(() => near.all("receiveMessage").length === 11, { what: "local delivery" });
      assert.deepEqual(far.all("receiveMessage").length, 1);
      alice.emit("typing", { chatboxId, isTyping: true });
      assertHas(await near.next("userTyping"), { isTyping: true });
      // The other way round, from another node: written between the first node's.
      await far.send(users[0], "from afar");
      await alice.send(users[1], "after that");
      // What is not known is refused, not guessed.
      assertHas(await near.ask("getOnlineUsers"), { error: { code: "unavailable", retryAfterMs: (value) => value > 0 } });
      // A session elsewhere is out of reach, and not unknown.
      assert.equal((await foreign.at(nodes[1]).post("6")).status, 503);
      assert.equal((await foreign.at(nodes[0]).post("6")).status, 200);
      // One who loses the connection meanwhile has to begin anew.
      await lost.drop();
      await pause(AWAY_MS - (performance.now() - since));
      for (const node of nodes) assert.equal(await node.metric("carillon_backplane_up"), 0, "still away");

      await heal();
      await assertAllSay(true);
      const texts = ["before it", ...Array.from({ length: 10 }, (_, i) => `meanwhile ${i}`), "from afar", "after that"];
      for (const client of [alice, near, far, farther]) {
        await eventually(() => client.all("receiveMessage").length >= texts.length, { what: "what was missed" });
      }
      await alice.send(users[1], "after it");
      for (const client of [alice, near, far, farther]) {
        await client.next("receiveMessage", { match: ({ message }) => message === "after it" });
        await client.fence();
        assert.deepEqual(client.all("receiveMessage").map(({ message }) => message), [...texts, "after it"]);
        assert.deepEqual(client.all("receiveMessage").map(({ seq }) => seq), Array.from({ length: 14 }, (_, i) => i + 1));
      }
      const afterwards = await Polling.open(nodes[0].endpoint);
      assert.equal((await afterwards.at(nodes[1]).post("1")).status, 200);
      assert.equal(await lost.reconnect(), false, "recovery across a hole");
      // Nobody was declared dead by it.
      await watcher.fence();
      const offline = watcher.all("userStatusChange").filter(({ userId, status }) => users.includes(userId) && status === "offline");
      assert.deepEqual(offline, []);
      const lists = await Promise.all([alice, far, farther].map((client) => client.ask("getOnlineUsers")));
      for (const list of lists) for (const user of users) assert.ok(list.some(({ userId }) => userId === user), user);
    });

    test("under traffic on every node: none lost, doubled or out of order", async () => {
      const traffic = await Traffic.start([
        [nodes[0], nodes[1]],
        [nodes[1], nodes[2]],
        [nodes[2], nodes[0]],
        [nodes[0], nodes[0]],
      ]);
      for (const ms of [300, 4_500]) {
        await traffic.more(30);
        await harm();
        await pause(ms);
        await traffic.more(20);
        await heal();
        await assertAllSay(true);
      }
      await traffic.more(30);
      await traffic.assertWhole(nodes[0]);
    });

    test("recovery works again for sessions that began after it", async () => {
      const users = [someone("alice"), someone("bob")];
      const haveCaughtUp = async () => (await Promise.all(nodes.map((node) => node.metric("carillon_catching_up")))).every((state) => state === 0);
      await eventually(haveCaughtUp, { what: "nodes that have caught up" });
      const [alice, bob] = await cluster.connectTo([0, users[0]], [1, users[1]]);
      await alice.join(chatOf(...users));
      await alice.drop();
      await bob.send(users[0], "missed");
      alice.moveTo(nodes[2]);
      assert.equal(await alice.reconnect(), true);
      assertHas(await alice.next("receiveMessage"), { message: "missed" });
    });
  });
}
