// Messages written and read on different nodes: one number and one order for all, resends, reads, what costs whom.

import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { assertConsecutive, assertHas } from "../assertions.js";
import { chatOf, someone } from "../carillon.js";
import { startCluster } from "../cluster.js";
import { eventually } from "../process.js";

let cluster;
let nodes;

before(async () => {
  cluster = await startCluster({ env: { CARILLON_LIMITS: "off", CARILLON_PRESENCE: "contacts" } });
  nodes = cluster.nodes;
});
after(() => cluster?.stop());

const pair = () => {
  const users = [someone("alice"), someone("bob")];
  return { users, chatboxId: chatOf(...users) };
};
const history = async (node, user, chatboxId) => {
  const messages = [];
  for (let more = true; more; ) {
    const path = `/api/chat/messages/${chatboxId}?limit=100&afterSeq=${messages.at(-1)?.seq ?? 0}`;
    const { body } = await node.get(path, { as: user });
    messages.push(...body.messages);
    more = body.hasMore;
  }
  return messages;
};
const heard = (client, count) => eventually(() => client.all("receiveMessage").length >= count, { what: `${count} messages` });

describe("order", () => {
  test("writers on every node, readers on every node: one order, without a hole", async () => {
    const { users, chatboxId } = pair();
    const devices = await cluster.connectTo(...users.flatMap((user) => [0, 1, 2].map((index) => [index, user])));
    await Promise.all(devices.map((device) => device.join(chatboxId)));
    const sends = devices.map(async (device, index) => {
      const receiver = users[index < 3 ? 1 : 0];
      const answers = [];
      for (let i = 0; i < 15; i += 1) answers.push(await device.send(receiver, `${index}:${i}`));
      // A burst after them: many of one writer at once.
      answers.push(...(await Promise.all(Array.from({ length: 15 }, (_, i) => device.send(receiver, `${index}:${i + 15}`)))));
      return answers;
    });
    const answers = (await Promise.all(sends)).flat();
    await Promise.all(devices.map((device) => heard(device, 180)));
    await Promise.all(devices.map((device) => device.fence()));

    assertConsecutive(answers.map(({ seq }) => seq).sort((one, other) => one - other));
    const stored = await history(nodes[0], users[0], chatboxId);
    for (const node of nodes) assert.deepEqual(await history(node, users[1], chatboxId), stored);
    assertConsecutive(stored.map(({ seq }) => seq));
    const stamps = stored.map(({ timestamp }) => timestamp);
    assert.deepEqual(stamps, [...stamps].sort());
    for (const device of devices) {
      assert.deepEqual(device.all("receiveMessage").map(({ message }) => message), stored.map(({ message }) => message));
      assertConsecutive(device.all("receiveMessage").map(({ seq }) => seq));
    }
    for (const index of devices.keys()) {
      const own = stored.map(({ message }) => message).filter((message) => message.startsWith(`${index}:`));
      assert.deepEqual(own, Array.from({ length: 30 }, (_, i) => `${index}:${i}`));
    }
  });

  test("of many chats at once, each by itself", async () => {
    const chats = await Promise.all(
      Array.from({ length: 20 }, async (_, index) => {
        const { users, chatboxId } = pair();
        const [writer, reader] = await cluster.connectTo([index % 3, users[0]], [(index + 1) % 3, users[1]]);
        await reader.join(chatboxId);
        return { writer, reader, users };
      }),
    );
    await Promise.all(
      chats.map(({ writer, users }) => Promise.all(Array.from({ length: 20 }, (_, i) => writer.send(users[1], `${i}`)))),
    );
    for (const { reader } of chats) {
      await heard(reader, 20);
      await reader.fence();
      for (const event of ["receiveMessage", "notification"]) assertConsecutive(reader.all(event).map(({ seq }) => seq));
      assert.deepEqual(reader.all("receiveMessage").map(({ message }) => message), Array.from({ length: 20 }, (_, i) => `${i}`));
      assert.equal(reader.all("notification").length, 20);
    }
  });

  test("of typing: every signal of one writer, in order, on every node", async () => {
    const { users, chatboxId } = pair();
    const [writer, ...readers] = await cluster.connectTo([0, users[0]], [0, users[1]], [1, users[1]], [2, users[1]]);
    await Promise.all(readers.map((reader) => reader.join(chatboxId)));
    const signals = Array.from({ length: 300 }, (_, i) => i % 3 === 0 || i % 7 === 0);
    for (const isTyping of signals) writer.emit("typing", { chatboxId, isTyping });
    for (const reader of readers) {
      await eventually(() => reader.all("userTyping").length >= signals.length, { what: "every signal" });
      await reader.fence();
      assert.deepEqual(reader.all("userTyping").map(({ isTyping }) => isTyping), signals);
    }
  });
});

describe("by the time of the ack", () => {
  test("every node's history, chat list, counts, inbox and statistics show the message", async () => {
    const { users, chatboxId } = pair();
    const writers = await cluster.connectTo([0, users[0]], [1, users[0]], [2, users[0]]);
    const as = users[1];
    for (let i = 1; i <= 12; i += 1) {
      const { messageId, timestamp } = await writers[i % 3].send(users[1], `m${i}`);
      await Promise.all(
        nodes.map(async (node) => {
          const [page, list, count, inbox, stats] = await Promise.all([
            node.get(`/api/chat/messages/${chatboxId}`, { as }),
            node.get(`/api/chat/user/${as}/chats`, { as }),
            node.get(`/api/chat/user/${as}/unread-count`, { as }),
            node.get(`/api/notifications/user/${as}`, { as }),
            node.get(`/api/notifications/user/${as}/stats`, { as }),
          ]);
          assertHas(page.body.messages[0], { _id: messageId, timestamp, seq: i });
          assertHas(list.body.chats[0], { chatboxId, unreadCount: i, lastMessage: { message: `m${i}`, timestamp } });
          assert.equal(count.body.unreadCount, i);
          assert.equal(inbox.body.notifications.at(-1).metadata.messageId, messageId);
          assert.equal(stats.body.stats.unreadCount, i);
        }),
      );
    }
  });

  test("what was read, deleted or created on one node is so on every node", async () => {
    const { users, chatboxId } = pair();
    const [writer, reader, other] = await cluster.connectTo([0, users[0]], [1, users[1]], [2, users[1]]);
    await writer.join(chatboxId);
    const sent = [];
    for (let i = 0; i < 4; i += 1) sent.push(await writer.send(users[1], `m${i}`));
    const as = users[1];
    const unread = (node) => node.get(`/api/chat/user/${as}/unread-count`, { as }).then(({ body }) => body.unreadCount);
    const onEach = (ask) => Promise.all(nodes.map(ask));

    await reader.ask("markMessageRead", { messageId: sent[1].messageId, chatboxId });
    assert.deepEqual(await onEach(unread), [3, 3, 3]);
    assertHas(await writer.next("messageRead"), { messageId: sent[1].messageId, readBy: as });
    assert.equal((await nodes[2].rest("PATCH", `/api/chat/chatbox/${chatboxId}/mark-read/${as}`, { as })).status, 200);
    assert.deepEqual(await onEach(unread), [0, 0, 0]);

    const inbox = (node) => node.get(`/api/notifications/user/${as}`, { as }).then(({ body }) => body.count);
    const json = { toUser: as, fromUser: users[0], message: "over REST" };
    const { body } = await nodes[2].rest("POST", "/api/notifications/create", { as: users[0], json });
    for (const device of [reader, other]) {
      assertHas(await device.next("notification", { match: ({ message }) => message === "over REST" }), {
        notifId: body.notification.notifId,
      });
    }
    assert.deepEqual(await onEach(inbox), [5, 5, 5]);
    const path = `${chatboxId}/${body.notification.notifId}`;
    assert.equal((await nodes[0].rest("DELETE", `/api/notifications/${path}`, { as })).status, 200);
    assert.deepEqual(await onEach(inbox), [4, 4, 4]);
    assert.equal((await nodes[1].rest("PATCH", `/api/notifications/read-all/${chatboxId}/${as}`, { as })).status, 200);
    assert.deepEqual(await onEach(inbox), [0, 0, 0]);
  });
});

describe("clientMessageId", () => {
  test("thirty copies at once on three nodes are one message for every reader", async () => {
    for (let round = 0; round < 5; round += 1) {
      const { users, chatboxId } = pair();
      const writers = await cluster.connectTo([0, users[0]], [1, users[0]], [2, users[0]]);
      const readers = await cluster.connectTo([0, users[1]], [1, users[1]], [2, users[1]]);
      await Promise.all(readers.map((reader) => reader.join(chatboxId)));
      const copies = Array.from({ length: 30 }, (_, i) => writers[i % 3].send(users[1], "x", { clientMessageId: "c" }));
      const answers = await Promise.all(copies);
      for (const { messageId, timestamp, seq } of answers) {
        assert.deepEqual([messageId, timestamp, seq], [answers[0].messageId, answers[0].timestamp, 1]);
      }
      for (const reader of readers) {
        await reader.fence();
        assert.deepEqual([reader.all("receiveMessage").length, reader.all("notification").length], [1, 1]);
      }
      assert.equal((await history(nodes[0], users[0], chatboxId)).length, 1);
      assert.equal((await writers[2].send(users[1], "y")).seq, 2);
    }
  });

  test("a resend on another node gets the first's answer and reaches nobody", async () => {
    const { users, chatboxId } = pair();
    const [first, second, reader] = await cluster.connectTo([0, users[0]], [1, users[0]], [2, users[1]]);
    await reader.join(chatboxId);
    for (let i = 1; i <= 20; i += 1) {
      const clientMessageId = `c${i}`;
      const { messageId, timestamp, seq } = await first.send(users[1], `m${i}`, { clientMessageId });
      assertHas(await second.send(users[1], "another text", { clientMessageId }), { messageId, timestamp, seq: i });
      assert.equal(seq, i);
    }
    await reader.fence();
    assert.deepEqual(reader.all("receiveMessage").map(({ message }) => message), Array.from({ length: 20 }, (_, i) => `m${i + 1}`));
    assert.equal(reader.all("notification").length, 20);
  });
});

describe("rooms", () => {
  test("a device that leaves on one node leaves the others in", async () => {
    const { users, chatboxId } = pair();
    const [writer, desk, phone] = await cluster.connectTo([0, users[0]], [1, users[1]], [2, users[1]]);
    for (let round = 1; round <= 5; round += 1) {
      await Promise.all([desk.join(chatboxId), phone.join(chatboxId)]);
      await desk.ask("leaveChat", { chatboxId });
      await writer.send(users[1], `round ${round}`);
      await Promise.all([desk.fence(), phone.fence()]);
      assert.deepEqual([desk.all("receiveMessage").length, phone.all("receiveMessage").length], [0, round]);
    }
  });

  test("whoever has joined misses nothing sent after the answer, on any node", async () => {
    for (let round = 0; round < 30; round += 1) {
      const { users, chatboxId } = pair();
      const [writer, reader] = await cluster.connectTo([round % 3, users[0]], [(round + 1) % 3, users[1]]);
      await reader.join(chatboxId);
      await writer.send(users[1], "at once");
      await reader.next("receiveMessage");
      writer.close();
      reader.close();
    }
  });

  test("a message in a room without members on a node costs that node nothing", async () => {
    const { users, chatboxId } = pair();
    const [writer, reader, bystander] = await cluster.connectTo([0, users[0]], [1, users[1]], [2, someone()]);
    await Promise.all([writer.join(chatboxId), reader.join(chatboxId)]);
    await bystander.fence();
    const received = async (node) => {
      const count = await node.metric("carillon_backplane_received_total");
      assert.notEqual(count, undefined, "carillon_backplane_received_total");
      return count;
    };
    const since = performance.now();
    const before_ = await Promise.all(nodes.map(received));
    await Promise.all(Array.from({ length: 100 }, (_, i) => writer.send(users[1], `${i}`)));
    await heard(reader, 100);
    await eventually(() => reader.all("notification").length >= 100, { what: "100 notifications" });
    const after_ = await Promise.all(nodes.map(received));
    const seconds = (performance.now() - since) / 1_000;

    const [, ofReader, ofBystander] = after_.map((count, index) => count - before_[index]);
    assert.ok(ofReader >= 200, `${ofReader} messages and notifications came to the reader's node`);
    // What is left is its own probe, twice a second, and the little that nodes have for each other.
    assert.ok(ofBystander <= 5 + 4 * seconds, `${ofBystander} in ${seconds} s came to a node without members`);
  });
});
