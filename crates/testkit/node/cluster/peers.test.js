// Node servers (socket.io with @socket.io/redis-adapter) and emitters on the same Redis: rooms are shared both ways.

import assert from "node:assert/strict";
import { after, afterEach, before, describe, test } from "node:test";
import { Emitter } from "@socket.io/redis-emitter";
import { assertConsecutive, assertHas, ISO } from "../assertions.js";
import { chatOf, someone } from "../carillon.js";
import { COMBINATIONS } from "../client.js";
import { startCluster } from "../cluster.js";
import { eventually } from "../process.js";
import { NodeServer } from "./peer.js";

const WIRES = [
  ["classic", {}],
  ["sharded", { CARILLON_REDIS_WIRE: "sharded" }],
];

for (const [wire, env] of WIRES) {
  describe(`over the ${wire} adapter's wire`, () => {
    let cluster;
    let nodes;
    let servers;
    let server;

    before(async () => {
      cluster = await startCluster({ env: { CARILLON_LIMITS: "off", ...env } });
      nodes = cluster.nodes;
      servers = await Promise.all([1, 2].map(() => NodeServer.start(cluster.redis.url, wire)));
      [server] = servers;
    });
    after(async () => {
      await Promise.all(servers?.map((one) => one.stop()) ?? []);
      await cluster?.stop();
    });
    afterEach(() => {
      for (const one of servers) assert.ok(!one.hasCrashed, `a Node server crashed:\n${one.output}`);
      for (const node of nodes) assert.equal(node.process.end, undefined, "a node ended");
    });

    /** One user on each node, and one client of each Node server in the rooms of those users: five in all. */
    async function everybody() {
      const users = [someone("alice"), someone("bob"), someone("carol")];
      const clients = await cluster.connectTo(...users.map((user, index) => [index, user]));
      const rooms = users.map((user) => `user_${user}`);
      const ofPeers = await Promise.all([servers[0].connect(rooms[0]), servers[1].connect(rooms[1])]);
      return { users, rooms, clients, ofPeers, all: [...clients, ...ofPeers] };
    }

    /** Who of `clients` has the event, as often as they have it. A later event to all tells that it is complete. */
    async function whoHas(clients, event) {
      const end = someone("end");
      await server.call("emit", {}, "end", end);
      await Promise.all(clients.map((client) => client.next("end", { match: (text) => text === end })));
      return clients.map((client) => client.all(event).length);
    }

    describe("broadcasts of a Node server", () => {
      test("reach a room, several rooms, all, all but some; nobody twice", async () => {
        const { rooms, all, clients } = await everybody();
        const rows = [
          ["one room", { rooms: [rooms[0]] }, [1, 0, 0, 1, 0]],
          ["several rooms", { rooms: [rooms[0], rooms[1], clients[0].id] }, [1, 1, 0, 1, 1]],
          ["all", {}, [1, 1, 1, 1, 1]],
          ["all but a room", { except: [rooms[1]] }, [1, 0, 1, 1, 0]],
          ["a room but a socket", { rooms: [rooms[0], rooms[2]], except: [clients[0].id] }, [0, 0, 1, 1, 0]],
          ["a socket", { rooms: [clients[1].id] }, [0, 1, 0, 0, 0]],
          ["volatile", { rooms: [rooms[2]], isVolatile: true }, [0, 0, 1, 0, 0]],
          ["a room without members", { rooms: ["nobody"] }, [0, 0, 0, 0, 0]],
        ];
        for (const [name, selection, expected] of rows) {
          await server.call("emit", selection, name, "x");
          assert.deepEqual(await whoHas(all, name), expected, name);
        }
      });

      test("reach whoever is in a chat, by the contract's name of its room", async () => {
        for (const [one, two, suffix] of [[someone("a"), someone("b"), ""], [someone("a_"), someone("b"), undefined]]) {
          const [first] = [one, two].sort();
          const room = `chat_${chatOf(one, two)}${suffix ?? `~${first.length}`}`;
          const clients = await cluster.connectTo([0, one], [2, two]);
          await Promise.all(clients.map((client) => client.join(chatOf(one, two))));
          await server.call("emit", { rooms: [room] }, "to the chat", 1);
          assert.deepEqual(await whoHas(clients, "to the chat"), [1, 1]);
          await clients[1].ask("leaveChat", { chatboxId: chatOf(one, two) });
          await server.call("emit", { rooms: [room] }, "to the chat", 2);
          assert.deepEqual(await whoHas(clients, "to the chat"), [2, 1]);
        }
      });

      for (const { name, ...options } of COMBINATIONS) {
        test(`carry binary, dates and every JSON value, over ${name}`, async () => {
          const user = someone();
          const client = await nodes[1].connect(user, options);
          const at = new Date("2026-02-03T04:05:06.789Z");
          const json = { list: [0, -1, 127, 128, 65_536, 2 ** 40, -(2 ** 40), 1.5, -2.5e-7, true, null, "", "é€😀", {}, []] };
          const bytes = Buffer.from(Array.from({ length: 300 }, (_, i) => i & 255));
          await server.call("emit", { rooms: [`user_${user}`] }, "values", { at, whole: new Date(0), json }, bytes, [bytes]);
          await client.next("values");
          const [{ args }] = client.received.filter(({ event }) => event === "values");
          assert.deepEqual(args.slice(1).flat().map((value) => Buffer.from(value)), [bytes, bytes]);
          assert.deepEqual(args[0], { at: at.toISOString(), whole: "1970-01-01T00:00:00.000Z", json });
          client.close();
        });
      }

      test("arrive in the order in which they were sent", async () => {
        const user = someone();
        const clients = await cluster.connectTo([0, user], [1, user], [2, user]);
        for (let i = 0; i < 500; i += 1) await server.call("emit", { rooms: [`user_${user}`] }, "number", i);
        for (const client of clients) {
          await eventually(() => client.all("number").length === 500, { what: "500 events" });
          assertConsecutive(client.all("number"), 0);
        }
      });
    });

    describe("broadcasts with acks", () => {
      const answering = (clients) => {
        for (const [index, client] of clients.entries()) {
          client.socket.on("question", (value, answer) => answer?.({ index, value }));
        }
      };

      test("collect the answers of every node's clients, and do not wait for more", async () => {
        const { all, rooms, clients } = await everybody();
        answering(all);
        // Whom it waits for in vain would be an error, after the timeout.
        const answers = await server.call("ask", { rooms, timeout: 30_000 }, "question", "x");
        assert.deepEqual(answers.map(({ index }) => index).sort(), [0, 1, 2, 3, 4]);
        for (const answer of answers) assert.equal(answer.value, "x");
        assert.equal((await server.call("ask", { rooms: [clients[2].id], timeout: 30_000 }, "question", 1)).length, 1);
      });

      test("tell who did not answer in time by what they got", async () => {
        const { clients, rooms } = await everybody();
        answering(clients.slice(0, 2));
        const error = await server.call("ask", { rooms: rooms.slice(0, 3), timeout: 3_000 }, "question", "x").catch((failure) => failure);
        assert.ok(error instanceof Error);
        assert.deepEqual(error.responses.map(({ index }) => index).sort(), [0, 1]);
      });

      test("carry binary both ways, and only the first argument of an answer", async () => {
        const { clients, rooms } = await everybody();
        clients[2].socket.on("bytes", (bytes, answer) => answer(Buffer.from(bytes).reverse(), "more"));
        const [answer] = await server.call("ask", { rooms: [rooms[2]], timeout: 30_000 }, "bytes", Buffer.from([1, 2, 3]));
        assert.deepEqual(Buffer.from(answer), Buffer.from([3, 2, 1]));
      });
    });

    describe("sockets of every node", () => {
      test("are put into and taken out of rooms", async () => {
        const { users, rooms, all } = await everybody();
        const room = someone("room ");
        await server.call("join", { rooms: [rooms[0], rooms[2]] }, [room, "another"]);
        await eventually(async () => {
          await server.call("emit", { rooms: [room] }, "in the room", 1);
          return (await whoHas(all, "in the room")).filter(Boolean).length === 3;
        });
        for (const client of all) client.forget();
        await server.call("leave", { rooms: [room], except: [`user_${users[2]}`] }, [room]);
        await eventually(async () => {
          for (const client of all) client.forget();
          await server.call("emit", { rooms: [room] }, "in the room", 2);
          return (await whoHas(all, "in the room")).join() === "0,0,1,0,0";
        });
      });

      for (const close of [false, true]) {
        test(`are disconnected${close ? ", and their connections closed" : ""}`, async () => {
          const { rooms, all } = await everybody();
          await server.call("disconnect", { rooms: [rooms[0], rooms[2]], except: [rooms[1]] }, close);
          for (const index of [0, 2, 3]) assert.equal(await all[index].next("disconnect"), "io server disconnect");
          assert.deepEqual(await whoHas([all[1], all[4]], "disconnect"), [0, 0]);
        });
      }

      test("are fetched with rooms and data, and without token or header; no server is waited for in vain", async () => {
        const { users, rooms, clients, ofPeers } = await everybody();
        // That would be an error, after the adapter's timeout.
        const fetched = await server.call("fetch", { rooms: rooms.slice(0, 2) });
        const expected = [clients[0], clients[1], ...ofPeers].map(({ id }) => id);
        assert.deepEqual(fetched.map(({ id }) => id).sort(), expected.sort());
        const alice = fetched.find(({ id }) => id === clients[0].id);
        assert.deepEqual(new Set(alice.rooms), new Set([clients[0].id, rooms[0]]));
        assert.equal(typeof alice.data, "object");
        assertHas(alice.handshake, { address: "127.0.0.1", issued: (value) => Math.abs(value - Date.now()) < 60_000 });
        assert.equal(typeof alice.handshake.headers, "object");
        const text = JSON.stringify(fetched.filter(({ id }) => !ofPeers.some((peer) => peer.id === id)));
        assert.ok(!text.includes(cluster.token(users[0]).split(".")[2]) && !/authorization|cookie|bearer/i.test(text), text);
      });
    });

    describe("servers", () => {
      test("are five, and each other one answers a serverSideEmit", async () => {
        assert.equal(Number(await server.call("servers")), 5);
        // One that did not answer would be an error, after the adapter's timeout.
        const answers = await server.call("askServers", "question", 42);
        assert.equal(answers.length, 4, JSON.stringify(answers));
        assert.ok(answers.includes("Node answers 42"));
      });

      test("one of them less after a node has gone, by SIGTERM or SIGKILL", async () => {
        for (const signal of ["SIGTERM", "SIGKILL"]) {
          nodes[2].process.signal(signal);
          await nodes[2].process.exited;
          await eventually(async () => Number(await server.call("servers")) === 4, { what: "four servers" });
          await server.call("fetch", {});
          await cluster.restart(2);
          assert.equal(Number(await server.call("servers")), 5);
        }
      });

      // The sharded adapter has no such request.
      if (wire === "classic") {
        test("know each other's rooms", async () => {
          const { rooms } = await everybody();
          const known = new Set(await server.call("rooms"));
          for (const room of rooms) assert.ok(known.has(room), room);
        });
      }
    });

    describe("what Carillon sends", () => {
      test("reaches clients of Node servers in the same rooms, as they would send it: without an offset", async () => {
        const users = [someone("alice"), someone("bob")];
        const chatboxId = chatOf(...users);
        const inChat = await servers[0].connect(`chat_${chatboxId}`);
        const asBob = await servers[1].connect(`user_${users[1]}`);
        const [alice, bob] = await cluster.connectTo([0, users[0]], [1, users[1]]);
        await Promise.all([alice.join(chatboxId), bob.join(chatboxId)]);
        const { messageId } = await alice.send(users[1], "hello \u{1f600}");
        await bob.ask("markMessageRead", { messageId, chatboxId });
        await alice.ask("typing", { chatboxId, isTyping: true });
        const json = { toUser: users[1], fromUser: users[0], message: "over REST" };
        await nodes[2].rest("POST", "/api/notifications/create", { as: users[0], json });

        assertHas(await inChat.next("receiveMessage"), { messageId, message: "hello \u{1f600}", seq: 1, chatboxId, timestamp: ISO });
        assertHas(await inChat.next("messageRead"), { messageId, readBy: users[1] });
        assertHas(await inChat.next("userTyping"), { userId: users[0], isTyping: true });
        assertHas(await asBob.next("notification"), { messageId, fromUserId: users[0] });
        assertHas(await asBob.next("notification"), { message: "over REST" });
        // Users of a node that an earlier test killed may be told offline by now.
        assertHas(await asBob.next("userStatusChange", { match: ({ userId }) => userId === users[0] }), { status: "online" });
        for (const client of [inChat, asBob]) {
          for (const { event, args } of client.received) if (event !== "connect") assert.equal(args.length, 1, event);
        }
        assert.deepEqual(asBob.all("receiveMessage"), []);
      });

      test("crashes no Node server, also under load from both sides", async () => {
        const chats = await Promise.all(
          Array.from({ length: 12 }, async (_, index) => {
            const users = [someone("alice"), someone("b_b")];
            const chatboxId = chatOf(...users);
            const [writer, reader] = await cluster.connectTo([index % 3, users[0]], [(index + 1) % 3, users[1]]);
            await reader.join(chatboxId);
            const peer = await servers[index % 2].connect(`user_${users[1]}`);
            return { users, chatboxId, writer, reader, peer };
          }),
        );
        const COUNT = 40;
        await Promise.all([
          ...chats.map(async ({ users, chatboxId, writer }) => {
            for (let i = 0; i < COUNT; i += 1) {
              writer.emit("typing", { chatboxId, isTyping: true });
              await writer.send(users[1], `${i} \u{1f600} ${"x".repeat(i * 20)}`);
            }
          }),
          ...chats.map(async ({ users }, index) => {
            for (let i = 0; i < COUNT; i += 1) {
              await servers[(index + 1) % 2].call("emit", { rooms: [`user_${users[1]}`] }, "of Node", i, Buffer.alloc(i));
              if (i % 10 === 0) await servers[index % 2].call("fetch", {});
            }
          }),
        ]);
        for (const { reader, peer } of chats) {
          await eventually(() => peer.all("notification").length === COUNT && reader.all("of Node").length === COUNT, { what: "all events" });
          await eventually(() => reader.all("receiveMessage").length === COUNT, { what: "all messages" });
          assertConsecutive(reader.all("receiveMessage").map(({ seq }) => seq));
          assertConsecutive(peer.all("notification").map(({ seq }) => seq));
          for (const client of [reader, peer]) assertConsecutive(client.all("of Node"), 0);
        }
      });
    });
  });
}

describe("@socket.io/redis-emitter", () => {
  let cluster;
  let emitter;
  let users;
  let clients;
  let marks = 0;

  before(async () => {
    cluster = await startCluster();
    emitter = new Emitter(cluster.commands);
    users = [someone("alice"), someone("bob"), someone("carol")];
    clients = await cluster.connectTo(...users.map((user, index) => [index, user]));
  });
  after(() => cluster?.stop());

  /** How often each client has got the event by the time of one more to all. */
  async function counts(event, of = clients) {
    const mark = (marks += 1);
    emitter.emit("mark", mark);
    await Promise.all(of.map((client) => client.next("mark", { match: (value) => value === mark })));
    return of.map((client) => client.all(event).length);
  }

  test("emits to a room, several, all, all but some, volatile, with binary and dates", async () => {
    const room = (index) => `user_${users[index]}`;
    const rows = [
      ["one", emitter.to(room(0)), [1, 0, 0]],
      ["two", emitter.to([room(0), room(2), clients[0].id]), [1, 0, 1]],
      ["all", emitter, [1, 1, 1]],
      ["but", emitter.except(room(1)), [1, 0, 1]],
      ["volatile", emitter.volatile.to(room(1)), [0, 1, 0]],
      ["uncompressed", emitter.compress(false).to(room(1)), [0, 1, 0]],
      ["another namespace", emitter.of("/other").to(room(0)), [0, 0, 0]],
    ];
    for (const [name, operator, expected] of rows) {
      operator.emit(name, "x", { at: new Date(5), bytes: Buffer.from([7]) });
      assert.deepEqual(await counts(name), expected, name);
    }
    const [{ args }] = clients[0].received.filter(({ event }) => event === "one");
    assert.deepEqual([args[0], args[1].at, [...args[1].bytes]], ["x", "1970-01-01T00:00:00.005Z", [7]]);
  });

  test("joins, leaves and disconnects", async () => {
    emitter.in(`user_${users[1]}`).socketsJoin(["staff"]);
    await eventually(async () => {
      emitter.to("staff").emit("staff", 1);
      return (await counts("staff")).join() !== "0,0,0";
    });
    assert.ok((await counts("staff")).every((count, index) => (index === 1) === count > 0));
    emitter.in("staff").socketsLeave("staff");
    await eventually(async () => {
      for (const client of clients) client.forget();
      emitter.to("staff").emit("staff", 2);
      return (await counts("staff")).join() === "0,0,0";
    });
    emitter.serverSideEmit("hello", 1, "a");
    const [going] = await cluster.connectTo([2, someone()]);
    emitter.in(going.id).disconnectSockets(true);
    assert.equal(await going.next("disconnect"), "io server disconnect");
    assert.deepEqual(await counts("disconnect"), [0, 0, 0]);
  });
});
