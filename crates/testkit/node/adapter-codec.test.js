// Agreement of Carillon's cluster messages with the official Redis adapters and emitter: what one writes the other reads,
// and nothing of Carillon's ends a Node server.
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { Emitter } from "@socket.io/redis-emitter";
import notepack from "notepack.io";
import { Codec, normal } from "./codec.js";
import { LONG_ROOM, NodePeer } from "./node-adapter.js";
import { Generator } from "./random.js";

const ROUNDS = 1000;
const DIALECTS = ["classic", "sharded"];
const NSP = "/chat";
const KEPT = { offset: "k3Zp09aQ.0000000000000042", id: "b64_-id" };

let codec;
before(() => (codec = new Codec()));
after(() => codec.close());

/** The answer, or an error where there is none. */
async function ask(op, dialect, command) {
  const { ok, error } = await codec.ask({ op, dialect, nsp: NSP, ...command });
  if (error !== undefined) throw new Error(`${op}: ${error}`);
  return ok;
}

// notepack 3 cuts off the upper bits of whole numbers beyond 64 bits; Carillon writes them as doubles.
const generator = (seed) => new Generator(seed, Number.MAX_SAFE_INTEGER);

const [ID] = new NodePeer("classic").sockets.map(({ id }) => id);
const ROOMS = ["a", "b", "5", ID, LONG_ROOM, "nobody", "a#b", "", "é😀\n"];

class Messages {
  constructor(seed) {
    this.random = generator(seed);
  }

  rooms() {
    return [...new Set(this.random.list(this.random.pick([0, 1, 3]), () => this.random.pick(ROOMS)))];
  }

  target() {
    return { rooms: this.rooms(), except: this.rooms() };
  }

  event() {
    for (;;) {
      const event = [this.random.text(), ...this.random.list(3, () => this.random.value(3))];
      if (count(event) <= 10) return event;
    }
  }

  broadcast() {
    return { event: this.event(), ...this.target(), volatile: this.random.below(3) === 0 };
  }
}

const count = (value) => {
  if (Buffer.isBuffer(value)) return 1;
  return value && typeof value === "object" ? Object.values(value).reduce((sum, item) => sum + count(item), 0) : 0;
};

/** What the sockets of `peer` note when they get `broadcast`, each once. */
function expectedNotes(peer, broadcast) {
  const note = { data: normal(broadcast.event), id: undefined, volatile: broadcast.volatile };
  const ids = peer.idsOf(broadcast);
  return Object.fromEntries(peer.sockets.map(({ id }) => [id, ids.includes(id) ? [note] : []]));
}

/** Has `peer` publish `broadcast` itself; answers with what it published. */
async function publishedBy(peer, { event, rooms, except, volatile }) {
  const flags = volatile ? { volatile } : {};
  await peer.adapter.broadcast({ type: 2, data: [...event] }, { rooms: new Set(rooms), except: new Set(except), flags });
  for (const socket of peer.sockets) socket.noted = [];
  const [published, ...more] = peer.redis.take();
  assert.deepEqual(more, []);
  return published;
}

for (const dialect of DIALECTS) {
  describe(`${dialect} broadcasts`, () => {
    test("are the same bytes on the same channel, and Node delivers ours", async () => {
      const [peer, sender] = [new NodePeer(dialect, NSP), new NodePeer(dialect, NSP)];
      const messages = new Messages(1);
      for (let round = 0; round < ROUNDS; round++) {
        const broadcast = messages.broadcast();
        const ours = await ask("encodeBroadcast", dialect, { uid: sender.adapter.uid, broadcast });

        assert.deepEqual(ours, await publishedBy(sender, broadcast));
        assert.deepEqual(await peer.receives(ours), expectedNotes(peer, broadcast));
        const read = await ask("decodeBroadcast", dialect, { payload: ours.payload });
        assert.deepEqual(read, { uid: sender.adapter.uid, broadcast: normal(broadcast) });
      }
    });

    test("that are kept are delivered by Node like any other", async () => {
      const peer = new NodePeer(dialect, NSP);
      const messages = new Messages(2);
      for (let round = 0; round < ROUNDS; round++) {
        const broadcast = { ...messages.broadcast(), volatile: false };
        const ours = await ask("encodeBroadcast", dialect, { uid: "carillon", broadcast, kept: KEPT });

        assert.deepEqual(await peer.receives(ours), expectedNotes(peer, broadcast));
        const read = await ask("decodeBroadcast", dialect, { payload: ours.payload });
        assert.deepEqual(read, { uid: "carillon", broadcast: normal(broadcast), kept: KEPT });
      }
    });

    test("that are damaged are refused, or read as Node reads them", async () => {
      const peer = new NodePeer(dialect, NSP);
      const messages = new Messages(3);
      let accepted = 0;
      for (let round = 0; round < 3 * ROUNDS; round++) {
        const { payload } = await ask("encodeBroadcast", dialect, { uid: "n", broadcast: { ...messages.broadcast(), rooms: [], except: [] } });
        payload[messages.random.below(payload.length)] = messages.random.below(256);

        const { ok } = await codec.ask({ op: "decodeBroadcast", dialect, nsp: NSP, payload });
        if (!ok) continue;
        accepted++;
        const notes = await peer.receives({ channel: `socket.io#${NSP}#`, payload });
        assert.deepEqual(normal(notes[ID][0].data), ok.broadcast.event, payload.toString("hex"));
      }
      assert.ok(accepted > ROUNDS, `${accepted} accepted`);
    });
  });
}

test("what emitters send is read as it is meant", async () => {
  const published = [];
  const redis = { publish: (channel, message) => published.push({ channel, payload: Buffer.from(message) }) };
  const emitter = new Emitter(redis).of(NSP);
  const messages = new Messages(4);
  for (let round = 0; round < ROUNDS; round++) {
    const { event, rooms, except, volatile } = messages.broadcast();
    const operator = emitter.to(rooms).except(except);
    (volatile ? operator.volatile : operator.compress(false)).emit(...event);
    const [{ channel, payload }] = published.splice(0);

    const read = await ask("decodeBroadcast", "classic", { payload });
    assert.deepEqual(read, { uid: "emitter", broadcast: normal({ event, rooms, except, volatile }) });
    const ours = await ask("encodeBroadcast", "classic", { uid: "n", broadcast: read.broadcast });
    assert.equal(channel, ours.channel);
  }
});

test("rooms that are numbers and values beyond JSON are read as clients would see them", async () => {
  const peer = new NodePeer("classic", NSP);
  const dates = [0, 1, 999, 1790000000120, 2 ** 32 * 1000, 2 ** 34 * 1000 + 5, -1, -62167219200000].map((at) => new Date(at));
  const typed = [new Uint8Array([1, 2]), new Uint8Array([1, 2]).buffer, Buffer.alloc(300)];
  const odd = [undefined, { a: undefined, b: 1 }, NaN, Infinity, -0, "half \ud83d of a pair that is longer than notepack's short texts", { toJSON: () => "json" }];
  const wide = [2 ** 53, 2 ** 63, -(2 ** 63), 2 ** 64 - 2048, -(2 ** 53) - 2];
  for (const value of [...dates, ...typed, ...odd, ...wide]) {
    const { payload } = await publishedBy(peer, { event: ["a", value], rooms: [5, 1.5], except: [-3] });
    const { broadcast } = await ask("decodeBroadcast", "classic", { payload });
    assert.deepEqual(broadcast, normal({ event: ["a", value], rooms: ["5", "1.5"], except: ["-3"], volatile: false }));
  }
});

test("what older encoders wrote is read as the adapter reads it", async () => {
  const peer = new NodePeer("classic", NSP);
  const values = ["d40000", "d7000000000000000400", "c7020001ff", "c8000200 01ff".replace(" ", ""), "ca3fc00000", "d50501ff"];
  const [head, tail] = ["93a16e83a47479706502a46461746192a161", `a36e7370${Buffer.from([0xa0 | NSP.length]).toString("hex")}${Buffer.from(NSP).toString("hex")}80`];
  for (const value of values) {
    const payload = Buffer.from(head + value + tail, "hex");
    const notes = await peer.receives({ channel: `socket.io#${NSP}#`, payload });
    const { broadcast } = await ask("decodeBroadcast", "classic", { payload });
    assert.deepEqual(broadcast.event, normal(notes[ID][0].data), value);
  }
});

/** What a Node server does on its own account, and the request that it should send for it. */
const REQUESTS = {
  allRooms: { run: (adapter) => adapter.allRooms(), only: "classic" },
  fetch: { run: (adapter, { target }) => adapter.fetchSockets(options(target)) },
  join: { run: (adapter, { target, rooms }) => adapter.addSockets(options(target), rooms) },
  leave: { run: (adapter, { target, rooms }) => adapter.delSockets(options(target), rooms) },
  disconnect: { run: (adapter, { target, close }) => adapter.disconnectSockets(options(target), close) },
  serverSideEmit: { run: (adapter, { event, isAnswered }) => adapter.serverSideEmit(isAnswered ? [...event, () => {}] : event) },
  broadcast: {
    run: (adapter, { broadcast: { event, ...target }, timeout }) =>
      adapter.broadcastWithAck({ type: 2, data: [...event] }, { ...options(target), flags: { timeout } }, () => {}, () => {}),
  },
};

const options = ({ rooms, except }) => ({ rooms: new Set(rooms), except: new Set(except), flags: {} });

function someRequest(messages, operation) {
  const { random } = messages;
  switch (operation) {
    case "allRooms":
      return {};
    case "fetch":
      return { target: messages.target() };
    case "join":
    case "leave":
      return { target: messages.target(), rooms: messages.rooms() };
    case "disconnect":
      return { target: messages.target(), close: random.below(2) === 0 };
    case "serverSideEmit":
      // With JSON the classic adapter loses binary.
      return { event: [random.text(), ...random.list(3, () => random.value(2, false))], isAnswered: random.below(2) === 0 };
    case "broadcast":
      return { broadcast: { ...messages.broadcast(), volatile: false }, timeout: 1 + random.below(3) };
  }
}

for (const dialect of DIALECTS) {
  for (const [operation, { run, only }] of Object.entries(REQUESTS)) {
    if ((only ?? dialect) !== dialect) continue;
    test(`${dialect} ${operation} requests are read as meant and written as Node does`, async () => {
      const peer = new NodePeer(dialect, NSP);
      const messages = new Messages(5);
      for (let round = 0; round < ROUNDS / 10; round++) {
        const { isAnswered, ...request } = someRequest(messages, operation);
        run(peer.adapter, { ...request, isAnswered });
        await new Promise(setImmediate);
        const [{ channel, payload }] = peer.redis.take();
        assert.equal(channel, dialect === "classic" ? `socket.io-request#${NSP}#` : `socket.io#${NSP}#`);

        const read = await ask("decodeRequest", dialect, { payload });
        const { uid, id, ...meant } = read;
        assert.equal(uid, peer.adapter.uid);
        assert.equal(typeof id, isAnswered ?? ["allRooms", "fetch", "broadcast"].includes(operation) ? "string" : "undefined");
        assert.deepEqual(meant, normal({ operation, ...request }));
        const ours = await ask("encodeRequest", dialect, { request: read });
        assert.equal(ours.toString("latin1"), payload.toString("latin1"));
      }
      forgetRequests(peer);
    });
  }

  test(`${dialect} requests of ours do to Node's sockets what is meant, and its answers are read`, async () => {
    const peer = new NodePeer(dialect, NSP);
    const messages = new Messages(6);
    const heard = [];
    peer.nsp.on("question", (...args) => {
      const answer = typeof args.at(-1) === "function" ? args.pop() : undefined;
      heard.push(args);
      answer?.({ heard: args });
    });
    const send = async (request) => {
      const payload = await ask("encodeRequest", dialect, { request: { uid: "carillon", ...request } });
      const channel = dialect === "classic" ? `socket.io-request#${NSP}#` : `socket.io#${NSP}#`;
      const notes = await peer.receives({ channel, payload });
      const answers = [];
      for (const { channel, payload } of peer.redis.take()) {
        assert.equal(channel, dialect === "classic" ? `socket.io-response#${NSP}#` : `socket.io#${NSP}#carillon#`);
        answers.push(await ask("decodeResponse", dialect, { payload }));
        assert.equal(payload.includes("secret") && JSON.stringify(answers).includes("secret"), false);
      }
      return { notes, answers };
    };
    const notesOf = (target, notes) => {
      const ids = peer.idsOf(target);
      return Object.fromEntries(peer.sockets.map(({ id }) => [id, ids.includes(id) ? notes : []]));
    };

    for (let round = 0; round < ROUNDS / 5; round++) {
      const id = `r${round}`;
      const [target, rooms] = [messages.target(), messages.rooms()];
      const joined = await send({ operation: "join", target, rooms });
      assert.deepEqual(joined, { notes: notesOf(target, [{ join: rooms }]), answers: [] });
      const left = await send({ operation: "leave", target, rooms });
      assert.deepEqual(left, { notes: notesOf(target, rooms.map((room) => ({ leave: room }))), answers: [] });
      const close = round % 2 === 0;
      const gone = await send({ operation: "disconnect", target, close });
      assert.deepEqual(gone, { notes: notesOf(target, [{ disconnect: close }]), answers: [] });

      const fetched = await send({ id, operation: "fetch", target });
      const sockets = peer.idsOf(target).map((name) => socketValue(peer.sockets.find((socket) => socket.id === name)));
      assert.deepEqual(sorted(fetched.answers), [{ requestId: id, answer: "sockets", value: sortedSockets(sockets) }]);

      const args = normal([messages.random.value(2), messages.random.value(2)]);
      const asked = await send({ id, operation: "serverSideEmit", event: ["question", ...args] });
      assert.deepEqual(normal(heard.splice(0)), [args]);
      if (dialect === "sharded" || count(args) === 0) {
        assert.deepEqual(asked.answers, [{ requestId: id, answer: "serverSideEmit", value: { heard: args } }]);
      }
      await send({ operation: "serverSideEmit", event: ["question"] });
      assert.deepEqual(heard.splice(0), [[]]);

      const broadcast = { ...messages.broadcast(), volatile: false };
      const { notes, answers } = await send({ id, operation: "broadcast", broadcast, timeout: 500 });
      const receivers = peer.idsOf(broadcast);
      assert.deepEqual(answers, [{ requestId: id, answer: "clientCount", value: receivers.length }]);
      for (const name of receivers) {
        assert.deepEqual(notes[name][0].data, normal(broadcast.event));
        const value = normal(messages.random.value(2));
        peer.sockets.find((socket) => socket.id === name).acks.get(notes[name][0].id)(value);
        const [{ payload }] = peer.redis.take();
        const ack = await ask("decodeResponse", dialect, { payload });
        assert.deepEqual(ack, { requestId: id, answer: "ack", value });
        const ours = await ask("encodeResponse", dialect, { uid: peer.adapter.uid, response: ack });
        assert.equal(ours.toString("latin1"), payload.toString("latin1"));
      }
    }

    if (dialect === "classic") {
      const { answers } = await send({ id: "r", operation: "allRooms" });
      assert.deepEqual(answers, [{ requestId: "r", answer: "rooms", value: [...peer.adapter.rooms.keys()] }]);
      const all = await send({ id: "r", operation: "sockets", rooms: ["b"] });
      assert.deepEqual(all.answers, [{ requestId: "r", answer: "socketIds", value: peer.idsOf({ rooms: ["b"], except: [] }) }]);
    }
  });

  test(`${dialect} answers of ours complete what a Node server waits for`, async () => {
    const messages = new Messages(7);
    for (let round = 0; round < ROUNDS / 10; round++) {
      const peer = new NodePeer(dialect, NSP);
      const request = async () => {
        await new Promise(setImmediate);
        return ask("decodeRequest", dialect, { payload: peer.redis.take()[0].payload });
      };
      const answer = async (requestId, answer, value) => {
        const payload = await ask("encodeResponse", dialect, { uid: "carillon", response: { requestId, answer, value } });
        const channel = dialect === "classic" ? `socket.io-response#${NSP}#` : `socket.io#${NSP}#${peer.adapter.uid}#`;
        await peer.receives({ channel, payload });
      };

      const fetched = peer.adapter.fetchSockets(options({ rooms: [], except: [] }));
      const data = normal({ value: messages.random.value(2) });
      const socket = { id: "s9", issued: 1790000000120, address: "::1", path: "/socket.io/", isSecure: true, isCrossDomain: false, rooms: ["s9"], data };
      await answer((await request()).id, "sockets", [socket]);
      const remote = (await fetched).find(({ id }) => id === "s9");
      assert.deepEqual([remote.rooms, normal(remote.data)], [["s9"], data]);
      assert.deepEqual(Object.keys(remote.handshake), Object.keys(peer.sockets[0].handshake));
      assert.deepEqual([remote.handshake.headers, remote.handshake.auth, remote.handshake.query], [{}, {}, {}]);

      const value = normal(messages.random.value(2));
      const answered = new Promise((resolve) => peer.adapter.serverSideEmit(["question", (error, answers) => resolve([error, answers])]));
      await answer((await request()).id, "serverSideEmit", value);
      assert.deepEqual(normal(await answered), [null, [value]]);

      const [counts, acks] = [[], []];
      peer.adapter.broadcastWithAck(
        { type: 2, data: ["q"] },
        { ...options({ rooms: ["nobody"], except: [] }), flags: { timeout: 1000 } },
        (count) => counts.push(count),
        (ack) => acks.push(ack),
      );
      const { id } = await request();
      await answer(id, "clientCount", 1);
      await answer(id, "ack", value);
      assert.deepEqual([counts.sort(), normal(acks)], [[0, 1], [value]]);

      if (dialect === "classic") {
        const rooms = peer.adapter.allRooms();
        await answer((await request()).id, "rooms", ["elsewhere"]);
        assert.ok((await rooms).has("elsewhere"));
      }
    }
  });
}

/** A socket as the codec has it. */
function socketValue({ id, rooms, data, handshake }) {
  const { issued, address, xdomain, secure } = handshake;
  return { id, issued, address, path: "/socket.io/", isSecure: secure, isCrossDomain: xdomain, rooms: [...rooms], data };
}

const sortedSockets = (sockets) => sockets.toSorted((one, other) => (one.id < other.id ? -1 : 1));
const sorted = (answers) => answers.map((answer) => ({ ...answer, value: sortedSockets(answer.value) }));

/** Ends what would keep the process until it times out. */
function forgetRequests({ adapter }) {
  for (const { timeout } of adapter.requests.values()) clearTimeout(timeout);
}

test("requests of emitters and of old versions are read as meant", async () => {
  const published = [];
  const emitter = new Emitter({ publish: (_, message) => published.push(Buffer.from(message)) }).of(NSP);
  const read = async (payload) => ask("decodeRequest", "classic", { payload });
  const target = { rooms: ["a"], except: ["b"] };
  const operator = () => emitter.in("a").except("b");

  operator().socketsJoin(["r2", "r3"]);
  operator().socketsLeave("r2");
  operator().disconnectSockets(true);
  emitter.serverSideEmit("ping", 1, "a");
  assert.deepEqual(await Promise.all(published.map(read)), [
    { operation: "join", target, rooms: ["r2", "r3"] },
    { operation: "leave", target, rooms: ["r2"] },
    { operation: "disconnect", target, close: true },
    { uid: "emitter", operation: "serverSideEmit", event: ["ping", 1, "a"] },
  ]);

  const old = { requestId: "r", type: 2, sid: "s1", room: "a" };
  const expected = { id: "r", operation: "join", target: { rooms: ["s1"], except: [] }, rooms: ["a"] };
  assert.deepEqual(await read(Buffer.from(JSON.stringify(old))), expected);
  assert.deepEqual(await read(notepack.encode(old)), expected);
});
