// Long-polling without affinity: any request of a session on any node, and what becomes of session ids nobody knows.

import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { assertWithin } from "../assertions.js";
import { chatOf, someone, startNode } from "../carillon.js";
import { startCluster } from "../cluster.js";
import { eventually } from "../process.js";
import { heldPoll } from "../tcp.js";
import { Frames, Polling, refusedUpgrade, SEPARATOR } from "../wire.js";

const UNKNOWN = { code: 1, message: "Session ID unknown" };

let cluster;
let nodes;

before(async () => {
  cluster = await startCluster({
    // No session ends by silence, and no ping comes where a test on a busy machine counts on none.
    env: { SOCKET_PING_INTERVAL: "4000", SOCKET_PING_TIMEOUT: "300000", CARILLON_PRESENCE: "contacts" },
  });
  nodes = cluster.nodes;
});
after(() => cluster?.stop());

/** A session opened on the first node and connected by way of the others. */
async function connected(user = someone()) {
  const session = await Polling.open(nodes[0].endpoint);
  assert.deepEqual(await session.at(nodes[1]).post(`40${JSON.stringify({ token: cluster.token(user) })}`), { status: 200, text: "ok" });
  assert.match((await session.at(nodes[2]).packets())[0], /^40\{/);
  return session;
}

/** Neither a read nor a write of this session id is known to any node. */
async function assertUnknown(sid) {
  for (const node of nodes) {
    for (const [method, body] of [["GET"], ["POST", "6"]]) {
      const response = await new Polling(node.endpoint, { sid }).request(method, { body });
      assert.deepEqual([response.status, await response.json()], [400, UNKNOWN], `${method} on ${nodes.indexOf(node)}`);
    }
  }
}

describe("a polling session", () => {
  test("goes on with every request on another node, its packets in order", async () => {
    const [user, other] = [someone("alice"), someone("bob")];
    const chatboxId = chatOf(user, other);
    const reader = await nodes[0].connect(other);
    await reader.join(chatboxId);
    const session = await connected(user);
    for (let i = 0; i < 60; i += 1) {
      const packets = [i % 3 === 0, i % 2 === 0].map((isTyping) => `42${JSON.stringify(["typing", { chatboxId, isTyping }])}`);
      session.at(nodes[(i + 1) % 3]);
      assert.equal((await session.post(packets.join(SEPARATOR))).status, 200);
    }
    await eventually(() => reader.all("userTyping").length === 120, { what: "120 signals" });
    const signals = Array.from({ length: 60 }, (_, i) => [i % 3 === 0, i % 2 === 0]).flat();
    assert.deepEqual(reader.all("userTyping").map(({ isTyping }) => isTyping), signals);
    await session.post("1");
  });

  test("is answered on the node that asks, wherever its events come from", async () => {
    const [user, other] = [someone("alice"), someone("bob")];
    const session = await connected(user);
    const writer = await nodes[1].connect(other);
    const heard = [];
    for (let i = 0; i < 30; i += 1) {
      await writer.send(user, `message ${i}`);
      session.at(nodes[i % 3]);
      while (heard.length <= i) {
        for (const packet of await session.packets()) {
          const [event, payload] = JSON.parse(packet.slice(2));
          if (event === "notification") heard.push(payload.message);
        }
      }
    }
    assert.deepEqual(heard, Array.from({ length: 30 }, (_, i) => `message ${i}`));
    await session.post("1");
  });

  test("takes a POST and a held GET on different nodes at once", async () => {
    const session = await connected();
    const held = session.at(nodes[1]).packets();
    await session.at(nodes[2]).post('420["unknown event"]');
    assert.match((await held)[0], /^430\[/);
    await session.post("1");
  });

  test("lives by its heartbeat through the balancer", async () => {
    const client = await cluster.connect(someone(), { transports: ["polling"] });
    let pings = 0;
    client.engine.on("ping", () => (pings += 1));
    await eventually(() => pings === 2, { what: "two pings" });
    await client.fence();
    client.close();
  });

  test("ends where two polls of it meet, on two nodes: 1 for the first, 400 for the second", async () => {
    const session = await connected();
    const polls = await Promise.all([session.at(nodes[1]).poll(), session.at(nodes[2]).poll()]);
    polls.sort((one, other) => one.status - other.status);
    assert.deepEqual(polls, [{ status: 200, text: "1" }, { status: 400, text: "" }]);
    await assertUnknown(session.sid);
  });

  test("ends by its close packet on any node; a held poll gets a noop", async () => {
    const session = await connected();
    const held = await heldPoll(session.at(nodes[1]));
    assert.deepEqual(await session.at(nodes[2]).post("1"), { status: 200, text: "ok" });
    await held.until(({ text }) => text.endsWith("\r\n\r\n6"), "a noop");
    held.destroy();
    await assertUnknown(session.sid);
  });

  test("ends when its client gives up a poll that another node holds", async () => {
    const session = await connected();
    (await heldPoll(session.at(nodes[2]))).destroy();
    await eventually(async () => (await session.at(nodes[1]).post("6")).status === 400, { what: "its end" });
    await assertUnknown(session.sid);
  });

  test("has the same bounds on every node", async () => {
    for (const node of nodes) {
      const session = await connected();
      assert.deepEqual(await session.at(node).post("4".repeat(1_000_001)), { status: 413, text: "" });
      assert.equal((await session.post(Array(1_000).fill("6").join(SEPARATOR))).status, 200);
      assert.equal((await session.post("6")).status, 200);
      await session.post(Array(1_001).fill("6").join(SEPARATOR));
      assert.equal((await session.post("6")).status, 400);
    }
  });

  test("of another transport is refused on every node", async () => {
    const frames = await Frames.open(nodes[0].endpoint);
    for (const node of nodes) {
      const response = await new Polling(node.endpoint, { sid: frames.handshake.sid }).request("GET");
      assert.deepEqual([response.status, (await response.json()).code], [400, 3]);
    }
    frames.terminate();
  });
});

describe("a session id that names no session", () => {
  const flipped = (sid, at) => sid.slice(0, at) + (sid[at] === "A" ? "B" : "A") + sid.slice(at + 1);

  test("made up, changed in a letter, cut, of another cluster: unknown at once, and no other node is asked", async () => {
    const { sid } = await connected();
    const elsewhere = await startNode();
    try {
      const foreign = (await Polling.open(elsewhere.endpoint)).sid;
      const forged = [
        "x",
        "A".repeat(20),
        "_".repeat(sid.length),
        ...[0, sid.length >> 1, sid.length - 1].map((at) => flipped(sid, at)),
        sid.slice(1),
        `${sid}A`,
        sid.toLowerCase() === sid ? sid.toUpperCase() : sid.toLowerCase(),
        foreign,
      ];
      const received = () => Promise.all(nodes.map((node) => node.metric("carillon_backplane_received_total")));
      await assertWithin(12_000, async () => {
        const since = performance.now();
        const before_ = await received();
        for (const bad of forged) await assertUnknown(bad);
        const took = performance.now() - since;
        // Each node hears its own probe twice a second; 60 questions would show.
        for (const [index, count] of (await received()).entries()) {
          assert.ok(count - before_[index] < 10 + took / 250, `node ${index} received ${count - before_[index]} in ${took} ms`);
        }
        return took;
      });
    } finally {
      await elsewhere.stop();
    }
  });

  test("of a session that has ended", async () => {
    const session = await connected();
    await session.at(nodes[0]).post("1");
    await assertUnknown(session.sid);
  });

  test("is unknown to an upgrade, too", async () => {
    for (const node of nodes) {
      const url = `${node.endpoint}?EIO=4&transport=websocket&sid=${"A".repeat(32)}`;
      assert.equal((await refusedUpgrade(url)).status, 400);
    }
  });

  // That the answer does not wait for the lapse is shown beside the code, by a clock of the tests.
  test("of a node that was killed: worth another try at first, unknown once its lease has lapsed", async () => {
    const session = await connected();
    nodes[0].process.signal("SIGKILL");
    await nodes[0].process.exited;
    const isKnownToBeGone = async (node) => {
      const { status, text } = await session.at(node).poll();
      assert.ok([503, 400].includes(status), `status ${status}`);
      if (status === 400) assert.deepEqual(JSON.parse(text), UNKNOWN);
      return status === 400;
    };
    await eventually(() => isKnownToBeGone(nodes[1]), { every: 100, what: "the lapse of the lease" });
    await cluster.restart(0);
    // Each node learns of it by itself, and one that has just come calls nobody dead for the time of a lease.
    for (const node of nodes) await eventually(() => isKnownToBeGone(node), { every: 100, what: "the lapse of the lease" });
    await assertUnknown(session.sid);
  });
});
