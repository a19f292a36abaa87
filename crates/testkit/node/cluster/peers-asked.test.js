// What Carillon asks of live Node servers (socket.io with @socket.io/redis-adapter) on the same Redis, and what they ask of it.

import assert from "node:assert/strict";
import { after, afterEach, before, describe, test } from "node:test";
import { assertWithin } from "../assertions.js";
import { someone } from "../carillon.js";
import { eventually } from "../process.js";
import { RedisServer } from "../servers.js";
import { CarillonPeer } from "./carillon-peer.js";
import { NodeServer } from "./peer.js";

/** After so long Carillon goes by the servers that have answered, in milliseconds. */
const ANSWERS_MS = 5_000;
/** For what clients answer; none of these tests may come to its end. */
const ACKS_MS = 30_000;

for (const wire of ["classic", "sharded"]) {
  describe(`over the ${wire} adapter's wire, Carillon`, () => {
    let redis;
    let carillon;
    let servers;

    before(async () => {
      redis = await RedisServer.start();
      carillon = await CarillonPeer.start(redis.url, wire);
      servers = await Promise.all([1, 2].map(() => NodeServer.start(redis.url, wire)));
    });
    after(async () => {
      await Promise.all([...(servers ?? []), carillon].map((one) => one?.stop()));
      await redis?.kill();
    });
    afterEach(() => {
      for (const one of [carillon, ...servers]) assert.ok(!one.hasCrashed, `a server crashed:\n${one.output}`);
    });

    /** A client of Carillon and one of each Node server, all in one room and each in one of its own. */
    async function everybody() {
      const room = someone("room ");
      const own = [1, 2, 3].map(() => someone("own room "));
      const clients = await Promise.all([carillon, ...servers].map((one, index) => one.connect(room, own[index])));
      return { room, own, clients };
    }

    /** How often each of `clients` has the event. A later one from each server to all tells that it is complete. */
    async function counts(clients, event) {
      for (const server of [carillon, ...servers]) {
        const end = someone("end");
        await server.call("emit", {}, "end", end);
        await Promise.all(clients.map((client) => client.next("end", { match: (text) => text === end })));
      }
      return clients.map((client) => client.all(event).length);
    }

    /** Sends to a room until it holds whom it should: who joins has to be subscribed first. */
    async function assertMembers(clients, room, expected) {
      await eventually(
        async () => {
          for (const client of clients) client.forget();
          await carillon.call("emit", { rooms: [room] }, "to members", 1);
          return (await counts(clients, "to members")).join() === expected.join();
        },
        { what: `the members ${expected} of a room` },
      );
    }

    test("counts the servers, one that came and one that went", async () => {
      assert.equal(await carillon.call("servers"), 3);
      const another = await NodeServer.start(redis.url, wire);
      assert.equal(await carillon.call("servers"), 4);
      assert.equal(Number(await another.call("servers")), 4);
      await another.stop();
      await eventually(async () => (await carillon.call("servers")) === 3, { what: "three servers" });
    });

    test("emits to one room, several, all, all but some, volatile: each client has it once", async () => {
      const { room, own, clients } = await everybody();
      const rows = [
        ["one room", { rooms: [room] }, [1, 1, 1]],
        ["a client", { rooms: [clients[1].id] }, [0, 1, 0]],
        ["several", { rooms: [own[0], own[2], room, clients[2].id] }, [1, 1, 1]],
        ["all", {}, [1, 1, 1]],
        ["all but", { except: [own[1]] }, [1, 0, 1]],
        ["a room but a client", { rooms: [room], except: [clients[2].id] }, [1, 1, 0]],
        ["volatile", { rooms: [own[2]], isVolatile: true }, [0, 0, 1]],
        ["nobody", { rooms: ["nobody"] }, [0, 0, 0]],
      ];
      for (const [name, selection, expected] of rows) {
        await carillon.call("emit", selection, name, { at: 1.5, list: [null, "é😀"] }, Buffer.from([0, 255]));
        assert.deepEqual(await counts(clients, name), expected, name);
      }
      for (const client of clients) {
        const [{ args }] = client.received.filter(({ event }) => event === "all");
        assert.deepEqual([args[0], [...args[1]]], [{ at: 1.5, list: [null, "é😀"] }, [0, 255]]);
        assert.equal(args.length, 2);
      }
    });

    test("fetches the sockets of every server, with their rooms and data", async () => {
      const { room, own, clients } = await everybody();
      // A server that is waited for in vain is an error.
      const fetched = await carillon.call("fetch", { rooms: [room] });
      assert.deepEqual(fetched.map(({ id }) => id).sort(), clients.map(({ id }) => id).sort());
      for (const [index, client] of clients.entries()) {
        const socket = fetched.find(({ id }) => id === client.id);
        assert.deepEqual(new Set(socket.rooms), new Set([room, own[index]]));
        assert.equal(socket.address, "127.0.0.1");
        if (index === 0) continue;
        assert.deepEqual(socket.data, { of: "a Node server" });
        assert.ok(Math.abs(socket.issued - Date.now()) < 60_000);
      }
      const some = await carillon.call("fetch", { rooms: [room], except: [own[0], clients[1].id] });
      assert.deepEqual(some.map(({ id }) => id), [clients[2].id]);
      const all = await carillon.call("fetch", {});
      assert.ok(clients.every(({ id }) => all.some((socket) => socket.id === id)));
      assert.deepEqual(await carillon.call("fetch", { rooms: ["nobody"] }), []);
    });

    test("lets sockets of every server join rooms and leave them", async () => {
      const { room, own, clients } = await everybody();
      const [joined, another] = [someone("room "), someone("room ")];
      await carillon.call("join", { rooms: [own[0], own[1]] }, [joined, another]);
      await assertMembers(clients, joined, [1, 1, 0]);
      await assertMembers(clients, another, [1, 1, 0]);
      await carillon.call("leave", { rooms: [joined], except: [own[0]] }, [joined]);
      await assertMembers(clients, joined, [1, 0, 0]);
      await assertMembers(clients, another, [1, 1, 0]);
      await carillon.call("leave", { rooms: [clients[2].id] }, [room]);
      await assertMembers(clients, room, [1, 1, 0]);
    });

    for (const close of [false, true]) {
      test(`disconnects sockets of every server${close ? " and closes their connections" : ""}`, async () => {
        const { own, clients } = await everybody();
        const closed = clients.map((client) => new Promise((resolve) => client.engine.once("close", resolve)));
        await carillon.call("disconnect", { rooms: [own[0], own[1]], except: ["nobody"] }, close);
        for (const client of clients.slice(0, 2)) assert.equal(await client.next("disconnect"), "io server disconnect");
        if (close) await Promise.all(closed.slice(0, 2));
        assert.deepEqual(await counts([clients[2]], "disconnect"), [0]);
        const left = () => carillon.call("fetch", { rooms: own.slice(0, 2) });
        await eventually(async () => (await left()).length === 0, { what: "no socket in their rooms" });
      });
    }

    test("collects the acks of every server's clients, and does not wait for more", async () => {
      const { room, own, clients } = await everybody();
      for (const [index, client] of clients.entries()) {
        client.socket.on("question", (bytes, answer) => answer?.({ index, bytes: Buffer.from(bytes).reverse() }));
      }
      const since = performance.now();
      const answers = await carillon.call("ask", { rooms: [room], timeout: ACKS_MS }, "question", Buffer.from([1, 2, 3]));
      assert.deepEqual(answers.map(({ index }) => index).sort(), [0, 1, 2]);
      for (const { bytes } of answers) assert.deepEqual([...bytes], [3, 2, 1]);
      const some = await carillon.call("ask", { rooms: [room], except: [own[1]], timeout: ACKS_MS }, "question", Buffer.from([1]));
      assert.deepEqual(some.map(({ index }) => index).sort(), [0, 2]);
      assert.deepEqual(await carillon.call("ask", { rooms: ["nobody"], timeout: ACKS_MS }, "question", Buffer.from([1])), []);
      assert.ok(performance.now() - since < ACKS_MS, "without the timeout");

      clients[1].socket.off("question");
      const inTime = await carillon.call("ask", { rooms: [room], timeout: 3_000 }, "question", Buffer.from([1]));
      assert.deepEqual(inTime.map(({ index }) => index).sort(), [0, 2], "as many as came");
    });

    test("tells every server something, and has it answered", async () => {
      const said = ["note", someone("note"), 5, { nested: [1.5, null, "é😀"] }];
      await carillon.call("emitServers", ...said);
      for (const server of servers) {
        const isNoted = async () => (await server.call("noted")).find(([name]) => name === said[1]);
        assert.deepEqual(await eventually(isNoted, { what: "the note" }), said.slice(1));
        assert.equal((await server.call("noted")).filter(([name]) => name === said[1]).length, 1);
      }
      // Without the timeout.
      await assertWithin(ANSWERS_MS, async () => {
        const since = performance.now();
        assert.deepEqual(await carillon.call("askServers", "question", 42), ["Node answers 42", "Node answers 42"]);
        return performance.now() - since;
      });
    });

    test("hears what a Node server tells every server, and answers it", async () => {
      const note = someone("note");
      await servers[0].call("emitServers", "note", note, { nested: [true] });
      const isHeard = async () => (await carillon.call("heard")).find(([, name]) => name === note);
      assert.deepEqual(await eventually(isHeard, { what: "the note" }), ["note", note, { nested: [true] }]);
      // One that does not answer is an error.
      const answers = await servers[0].call("askServers", "question", 42);
      assert.equal(answers.length, 2);
      assert.ok(answers.includes("Node answers 42"));
      assert.deepEqual(answers.find(Array.isArray), ["Carillon answers", 42]);
    });

    test("says that a server does not answer, or goes by those that do", async () => {
      const frozen = await NodeServer.start(redis.url, wire);
      try {
        frozen.freeze();
        const [fetched, answers] = await Promise.all([
          carillon.call("fetch", {}).catch((error) => error),
          carillon.call("askServers", "question", 1),
        ]);
        assert.ok(fetched instanceof Error, JSON.stringify(fetched));
        assert.match(fetched.message, /did not say/);
        assert.deepEqual(answers, ["Node answers 1", "Node answers 1"]);
      } finally {
        frozen.thaw();
        await frozen.stop();
      }
      await eventually(async () => (await carillon.call("servers")) === 3, { what: "three servers" });
      assert.ok((await carillon.call("fetch", {})).length > 0);
    });
  });
}
