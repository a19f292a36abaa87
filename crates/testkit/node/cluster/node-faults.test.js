// Nodes killed and frozen at any moment, under traffic: none lost, none doubled, none out of order.

import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { assertHas } from "../assertions.js";
import { chatOf, someone } from "../carillon.js";
import { startCluster } from "../cluster.js";
import { eventually } from "../process.js";
import { random } from "../random.js";
import { Traffic } from "./traffic.js";

let cluster;
let nodes;
const next = random(Number(process.env.CARILLON_TEST_SEED ?? 7));
const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

before(async () => {
  const env = { CARILLON_LIMITS: "off", CARILLON_PRESENCE: "contacts", SOCKET_PING_INTERVAL: "1000", SOCKET_PING_TIMEOUT: "5000" };
  cluster = await startCluster({ env });
  nodes = cluster.nodes;
});
after(() => cluster?.stop());

async function kill(index) {
  nodes[index].process.signal("SIGKILL");
  await nodes[index].process.exited;
}

const everywhere = (count) => Array.from({ length: count }, () => [cluster, cluster]);

describe("under traffic through the balancer", () => {
  for (const transports of [["websocket"], ["polling", "websocket"], ["polling"]]) {
    test(`nodes are killed at random moments, over ${transports.join(" then ")}`, async () => {
      const traffic = await Traffic.start(everywhere(4), { transports });
      for (let i = 0; i < 4; i += 1) {
        await traffic.more(10);
        await pause(next() * 600);
        const index = Math.floor(next() * 3);
        await kill(index);
        await pause(next() * 400);
        await cluster.restart(index);
      }
      await traffic.more(40);
      await traffic.assertWhole(cluster);
    });
  }

  test("two of three are killed at once", async () => {
    const traffic = await Traffic.start(everywhere(3));
    await traffic.more(20);
    await Promise.all([kill(0), kill(2)]);
    await traffic.more(30);
    await Promise.all([cluster.restart(0), cluster.restart(2)]);
    await traffic.more(30);
    await traffic.assertWhole(cluster);
  });

  test("one is drained and replaced, one after the other", async () => {
    const traffic = await Traffic.start(everywhere(3));
    for (const index of [0, 1, 2]) {
      await traffic.more(10);
      nodes[index].process.signal("SIGTERM");
      assert.deepEqual(await nodes[index].process.exited, { code: 0, signal: null });
      await cluster.restart(index);
    }
    await traffic.more(20);
    await traffic.assertWhole(cluster);
  });

  for (const [name, ms] of [["shorter than its lease", 2_500], ["longer than its lease", 8_000]]) {
    test(`one is frozen for ${name}, and goes on`, async () => {
      const traffic = await Traffic.start(everywhere(4));
      await traffic.more(20);
      nodes[1].process.signal("SIGSTOP");
      await pause(ms);
      nodes[1].process.signal("SIGCONT");
      await traffic.more(60);
      await traffic.assertWhole(cluster);
      // It takes part again: a chat between it and another works both ways.
      const users = [someone("alice"), someone("bob")];
      const [alice, bob] = await cluster.connectTo([1, users[0]], [2, users[1]]);
      await Promise.all([alice, bob].map((client) => client.join(chatOf(...users))));
      await alice.send(users[1], "from the node that was frozen");
      await bob.next("receiveMessage");
      await bob.send(users[0], "to it");
      await alice.next("receiveMessage", { match: ({ message }) => message === "to it" });
    });
  }
});

describe("a message whose node dies", () => {
  test("is one message after its resend on another node, and every reader gets it once", async () => {
    for (let round = 0; round < 8; round += 1) {
      const users = [someone("alice"), someone("bob")];
      const chatboxId = chatOf(...users);
      const [writer, other, reader] = await cluster.connectTo([0, users[0]], [1, users[0]], [2, users[1]]);
      await reader.join(chatboxId);
      await writer.send(users[1], "first");
      // Sent, and at some moment of its way the node dies.
      const ids = Array.from({ length: 5 }, (_, i) => `c${i}`);
      const answers = ids.map((clientMessageId) => writer.send(users[1], clientMessageId, { clientMessageId }).catch(() => undefined));
      await pause(next() * 15);
      await kill(0);
      const [restarting, confirmed] = await Promise.all([cluster.restart(0), Promise.all(answers)]);
      assert.equal(restarting, undefined);
      for (const [index, clientMessageId] of ids.entries()) {
        const again = await other.send(users[1], clientMessageId, { clientMessageId });
        assert.ok(again.messageId, JSON.stringify(again));
        if (confirmed[index]?.messageId) assertHas(again, { messageId: confirmed[index].messageId, seq: confirmed[index].seq });
      }
      await eventually(() => reader.all("receiveMessage").length >= 6, { what: `six messages in round ${round}` });
      await other.send(users[1], "last");
      await reader.next("receiveMessage", { match: ({ message }) => message === "last" });
      await reader.fence();
      assert.deepEqual(reader.all("receiveMessage").map(({ message }) => message), ["first", ...ids, "last"]);
      assert.deepEqual(reader.all("receiveMessage").map(({ seq }) => seq), [1, 2, 3, 4, 5, 6, 7]);
      assert.deepEqual(reader.all("notification").map(({ message }) => message), ["first", ...ids, "last"]);
    }
  });

  test("and is not sent again keeps nobody else's back", async () => {
    for (let round = 0; round < 6; round += 1) {
      const users = [someone("alice"), someone("bob")];
      const [writer, answering, reader] = await cluster.connectTo([0, users[0]], [1, users[1]], [2, users[1]]);
      await reader.join(chatOf(...users));
      await writer.send(users[1], "first");
      writer.emit("sendMessage", { receiverId: users[1], message: "perhaps", senderName: "A", receiverName: "B" });
      await pause(next() * 10);
      await kill(0);
      const since = performance.now();
      const { seq } = await answering.send(users[0], "answer");
      await reader.next("receiveMessage", { match: ({ message }) => message === "answer" });
      assert.ok(performance.now() - since < 5_000, "before the lease of the dead node lapses");
      await reader.fence();
      // With or without the other, the numbers that were given out came in order.
      assert.deepEqual(reader.all("receiveMessage").map((message) => message.seq), Array.from({ length: seq }, (_, i) => i + 1));
      await cluster.restart(0);
    }
  });
});
