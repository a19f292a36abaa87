// A WebSocket upgrade that lands on another node: the session moves there, whole, and leaves the first node alone.

import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { chatOf, someone } from "../carillon.js";
import { startCluster } from "../cluster.js";
import { eventually } from "../process.js";
import { Frames, Polling, within } from "../wire.js";

let cluster;
let nodes;

before(async () => {
  cluster = await startCluster({ env: { CARILLON_LIMITS: "off", CARILLON_PRESENCE: "contacts" } });
  nodes = cluster.nodes;
});
after(() => cluster?.stop());

const webSocketOf = (session, node) => `${node.endpoint}?EIO=4&transport=websocket&sid=${session.sid}`;

/** A polling session on `node` whose user has joined the chat with `other`: `{ session, user, chatboxId, pid, offset }`. */
async function opened(node, other) {
  const user = someone("alice");
  const chatboxId = chatOf(user, other);
  const session = await Polling.open(node.endpoint);
  await session.post(`40${JSON.stringify({ token: cluster.token(user) })}`);
  const { pid } = JSON.parse((await session.packets())[0].slice(2));
  await session.post(`42${JSON.stringify(["joinChat", { chatboxId }])}`);
  const [, , offset] = JSON.parse((await session.packets())[0].slice(2));
  return { session, user, chatboxId, pid, offset };
}

/** Polls until there is nothing, which an upgrade has told. That somebody came may be told to one who is a contact only now. */
async function pollToItsEnd(session) {
  for (;;) {
    const { text } = await session.poll();
    if (text === "6") return;
    assert.match(text, /^42\["userStatusChange",/);
  }
}

/** Takes a session to a WebSocket of `node`, as the official client does: the poll under way ends before the `5`. */
async function upgrade(session, node) {
  const polling = pollToItsEnd(session);
  const frames = await Frames.connect(webSocketOf(session, node));
  frames.send("2probe");
  assert.equal(await frames.next(), "3probe");
  await within(polling, "the end of the held poll");
  frames.send("5");
  return frames;
}

/** The texts of `receiveMessage` among these frames. */
const texts = (frames) =>
  frames.filter((frame) => frame?.startsWith('42["receiveMessage"')).map((frame) => JSON.parse(frame.slice(2))[1].message);

const isAnswer = (frame) => frame === undefined || frame.startsWith("430[");

describe("a session that moves", () => {
  test("needs its first node no longer: events, acks and its presence live on when that dies", async () => {
    const other = someone("bob");
    const { session, user, chatboxId } = await opened(nodes[0], other);
    const [writer, watcher] = await cluster.connectTo([2, other], [1, other]);
    // Both have written: they are contacts, and see each other come and go.
    await session.post(`420${JSON.stringify(["sendMessage", { receiverId: other, message: "hi", senderName: "A", receiverName: "B" }])}`);
    await writer.send(user, "hi");
    const read = [];
    const has = (start) => read.some((packet) => packet.startsWith(start));
    while (!["430[", '42["messageSent"', '42["notification"'].every(has)) read.push(...(await session.packets()));

    const frames = await upgrade(session, nodes[1]);
    await writer.send(user, "after the move");
    await frames.until((frame) => texts([frame])[0] === "after the move");
    nodes[0].process.signal("SIGKILL");
    await nodes[0].process.exited;
    for (let i = 0; i < 10; i += 1) await writer.send(user, `alone ${i}`);
    const alone = await frames.until((frame) => texts([frame])[0] === "alone 9");
    assert.deepEqual(texts(alone), Array.from({ length: 10 }, (_, i) => `alone ${i}`));
    frames.send(`420${JSON.stringify(["typing", { chatboxId, isTyping: true }])}`);
    assert.equal((await frames.until(isAnswer)).at(-1), "430[{}]");

    await cluster.restart(0);
    // The lease of the dead node has lapsed when the other nodes say so.
    await eventually(async () => (await nodes[1].metric("carillon_cluster_nodes")) === 3, { what: "three nodes" });
    await watcher.fence();
    assert.deepEqual(watcher.all("userStatusChange").filter(({ status }) => status === "offline"), []);
    assert.ok((await writer.ask("getOnlineUsers")).some(({ userId }) => userId === user));
    frames.terminate();
    await watcher.next("userStatusChange", { match: ({ userId, status }) => userId === user && status === "offline" });
  });

  for (const [name, to] of [["another node", 1], ["its own node", 0]]) {
    test(`to a WebSocket of ${name} is found by no late poll, and takes no second WebSocket`, async () => {
      const { session } = await opened(nodes[0], someone());
      const frames = await upgrade(session, nodes[to]);
      frames.send('420["typing"]');
      await frames.until(isAnswer);
      for (const node of nodes) {
        for (const [method, body] of [["GET"], ["POST", "6"]]) {
          const response = await session.at(node).request(method, { body });
          assert.deepEqual([response.status, (await response.json()).code], [400, 3], `${method} on ${nodes.indexOf(node)}`);
        }
        const second = await Frames.connect(webSocketOf(session, node));
        assert.equal(await within(second.closed, "its close"), 1005);
      }
      frames.send('420["typing"]');
      assert.notEqual((await frames.until(isAnswer)).at(-1), undefined);
      frames.terminate();
    });
  }

  test("takes along what waits for its next poll", async () => {
    const other = someone("bob");
    const writer = await nodes[2].connect(other);
    const { session, user } = await opened(nodes[0], other);
    const frames = await Frames.connect(webSocketOf(session, nodes[1]));
    frames.send("2probe");
    assert.equal(await frames.next(), "3probe");
    for (let i = 0; i < 20; i += 1) await writer.send(user, `waiting ${i}`);
    frames.send("5");
    await writer.send(user, "last");
    const read = await frames.until((frame) => texts([frame])[0] === "last");
    assert.deepEqual(texts(read), [...Array.from({ length: 20 }, (_, i) => `waiting ${i}`), "last"]);
    frames.terminate();
  });

  test("answers on the WebSocket what was asked by polling", async () => {
    const { session } = await opened(nodes[0], someone());
    const frames = await Frames.connect(webSocketOf(session, nodes[1]));
    frames.send("2probe");
    assert.equal(await frames.next(), "3probe");
    await session.at(nodes[2]).post('420["getOnlineUsers"]');
    frames.send("5");
    assert.match((await frames.until(isAnswer)).at(-1), /^430\[\[/);
    frames.terminate();
  });

  test("is recovered on a third node after the second was killed", async () => {
    const other = someone("bob");
    const { session, user, pid, offset } = await opened(nodes[0], other);
    const frames = await upgrade(session, nodes[1]);
    const writer = await nodes[2].connect(other);
    await writer.send(user, "seen");
    const seen = (await frames.until((frame) => frame.startsWith('42["notification"'))).at(-1);
    const last = JSON.parse(seen.slice(2))[2] ?? offset;
    nodes[1].process.signal("SIGKILL");
    await frames.closed;
    await writer.send(user, "missed");

    const back = await Frames.open(nodes[2].endpoint);
    back.send(`40${JSON.stringify({ token: cluster.token(user), pid, offset: last })}`);
    const read = await back.until((frame) => frame.startsWith("40"));
    assert.equal(JSON.parse(read.at(-1).slice(2)).pid, pid);
    assert.deepEqual(texts(read), ["missed"]);
    back.terminate();
    await cluster.restart(1);
  });
});

describe("a session that does not move in the end", () => {
  for (const [name, end] of [
    ["closed after its probe", (frames) => frames.terminate()],
    ["that says something else first", (frames) => frames.send("4hello")],
  ]) {
    test(`goes on by polling after a WebSocket ${name}`, async () => {
      const other = someone("bob");
      const { session, user } = await opened(nodes[0], other);
      const frames = await Frames.connect(webSocketOf(session, nodes[1]));
      if (name.startsWith("closed")) {
        frames.send("2probe");
        assert.equal(await frames.next(), "3probe");
      }
      end(frames);
      await frames.closed;
      const writer = await nodes[2].connect(other);
      await writer.send(user, "by polling");
      const read = [];
      while (texts(read).length === 0) read.push(...(await session.at(nodes[2]).packets()));
      assert.deepEqual(texts(read), ["by polling"]);
      // Until its node has heard of the end of the first there is no second.
      const second = await eventually(async () => {
        const next = await Frames.connect(webSocketOf(session, nodes[2]));
        next.send("2probe");
        return (await next.next()) === "3probe" && next;
      }, { what: "a second WebSocket" });
      second.send("5");
      second.send('420["typing"]');
      assert.notEqual((await second.until(isAnswer)).at(-1), undefined);
      second.terminate();
    });
  }
});

describe("a node that is full", () => {
  test("takes no session from another: that goes on by polling", async () => {
    const full = await cluster.join({ CARILLON_MAX_CONNECTIONS: "1" });
    try {
      const here = await Polling.open(full.endpoint);
      const { session } = await opened(nodes[0], someone("bob"));
      const frames = await Frames.connect(webSocketOf(session, full));
      assert.equal(await within(frames.closed, "the end of the WebSocket"), 1005);
      await session.post('420["typing"]');
      assert.match((await session.packets()).join(), /430\[/);

      await here.post("1");
      const moved = await eventually(async () => {
        const next = await Frames.connect(webSocketOf(session, full));
        next.send("2probe");
        return (await next.next()) === "3probe" && next;
      }, { what: "room for the session" });
      moved.terminate();
    } finally {
      await full.stop();
    }
  });
});

describe("upgrades by the official client through the balancer, under traffic both ways", () => {
  const ROUNDS = 60;
  const AT_ONCE = 6;
  const EACH_WAY = 8;
  const numbers = Array.from({ length: EACH_WAY }, (_, i) => i);

  /** One client goes over to WebSocket while it and another write to each other. */
  async function round(parser) {
    const users = [someone("alice"), someone("bob")];
    const chatboxId = chatOf(...users);
    const writer = await cluster.connect(users[1]);
    const client = await cluster.connect(users[0], { transports: ["polling", "websocket"], parser });
    const upgraded = client.upgraded();
    await Promise.all([client.join(chatboxId), writer.join(chatboxId)]);
    for (const i of numbers) client.emit("typing", { chatboxId, isTyping: i % 3 === 0 });
    const sends = numbers.map((i) => client.send(users[1], `up ${i}`));
    const answers = (async () => {
      for (const i of numbers) await writer.send(users[0], `down ${i}`);
    })();
    await Promise.all([...sends, answers, upgraded]);
    await eventually(() => writer.all("userTyping").length === EACH_WAY, { what: "every signal" });
    await Promise.all([client.fence(), writer.fence()]);

    assert.equal(client.engine.transport.name, "websocket");
    for (const reader of [client, writer]) {
      const received = reader.all("receiveMessage");
      assert.deepEqual(received.map(({ seq }) => seq), Array.from({ length: 2 * EACH_WAY }, (_, i) => i + 1));
      for (const way of ["up", "down"]) {
        const own = received.map(({ message }) => message).filter((message) => message.startsWith(way));
        assert.deepEqual(own, numbers.map((i) => `${way} ${i}`));
      }
    }
    assert.equal(client.all("notification").length, EACH_WAY);
    assert.equal(client.all("messageSent").length, EACH_WAY);
    assert.deepEqual(writer.all("userTyping").map(({ isTyping }) => isTyping), numbers.map((i) => i % 3 === 0));
    client.close();
    writer.close();
  }

  test(`${ROUNDS} of them, with either parser, lose, double and reorder nothing`, async () => {
    for (let done = 0; done < ROUNDS; done += AT_ONCE) {
      await Promise.all(Array.from({ length: AT_ONCE }, (_, index) => round(index % 2 ? "msgpack" : "default")));
    }
  });
});
