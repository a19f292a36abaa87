// Agreement of Carillon's codecs with the official parsers: what one writes the other reads, both refuse the same.
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { decodePayload, encodePacket, encodePayload } from "engine.io-parser";
import * as jsonParser from "socket.io-parser";
import msgpackParser from "socket.io-msgpack-parser";
import { Codec, normal } from "./codec.js";
import { Generator } from "./random.js";

const ROUNDS = 3000;
const RESERVED = ["connect", "connect_error", "disconnect", "disconnecting", "newListener", "removeListener"];
const parsers = { json: jsonParser, msgpack: msgpackParser };

let codec;
before(() => (codec = new Codec()));
after(() => codec.close());

/** What the official parser reads from `messages`: a packet, null while incomplete, undefined where it refuses. */
function officialRead(parser, messages) {
  const decoder = new parsers[parser].Decoder();
  let packet = null;
  decoder.on("decoded", (decoded) => (packet = decoded));
  try {
    for (const message of messages) {
      packet = null;
      decoder.add(message);
    }
  } catch {
    return undefined;
  }
  return packet && reduced(packet);
}

/** The four keys that matter, without an id where none belongs. */
function reduced({ type, nsp, id, data }) {
  const kept = type === 2 || type === 3 ? { type, nsp, id, data: data ?? [] } : { type, nsp, data };
  return normal(kept);
}

/** What Carillon reads, in the same form. */
async function carillonRead(parser, messages) {
  const answer = await codec.ask({ op: "decode", parser, messages });
  return "error" in answer ? undefined : answer.ok;
}

/** Node reads these and then ignores them or runs into trouble; Carillon refuses them. */
function isRefusedHere(parser, { type, id, data }) {
  if (type === 3) return id === undefined || id < 0;
  if (type !== 2) return false;
  // An event without payload: read by the default parser, without arguments.
  if (data.length === 0) return parser === "msgpack";
  return id < 0 || !["string", "number"].includes(typeof data[0]) || RESERVED.includes(data[0]);
}

/** The messages as an Engine.IO connection carries them: text with its digit. */
const frames = (messages) => messages.map((message) => (typeof message === "string" ? `4${message}` : Buffer.from(message)));
const messages = (frames) => frames.map((frame) => (typeof frame === "string" ? frame.slice(1) : frame));

async function assertReadAlike(parser, input) {
  const theirs = officialRead(parser, input);
  const expected = theirs && isRefusedHere(parser, theirs) ? undefined : theirs;
  assert.deepEqual(await carillonRead(parser, input), expected, `${parser}: ${show(input)}`);
}

const show = (input) => input.map((message) => (typeof message === "string" ? message : message.toString("hex"))).join(" | ");

describe("engine.io-parser", () => {
  const withoutData = ["open", "close", "upgrade", "noop", "error"];
  const kept = ({ type, data }) => (withoutData.includes(type) ? { type } : { type, data: normal(data) ?? "" });

  const read = async (body) => {
    const { ok } = await codec.ask({ op: "decodePayload", body });
    assert.deepEqual(ok.map(kept), decodePayload(body).map(kept), body);
  };

  const bodies = ["", "0", "1", "2", "2probe", "3", "3probe", "4", "4€", "5", "6", "7", "x", "é", " 4", "b", "bAQID", "bAQIDBA", "bAQIDBA=="];
  for (const body of [...bodies, "4a\u001e4b", "4a\u001e", "\u001e4a", "4a\u001ex\u001e4b", "4hello\u001e2\u001ebAQIDBA=="]) {
    test(`reads ${JSON.stringify(body)}`, () => read(body));
  }

  test("random payloads", async () => {
    const generator = new Generator(1);
    for (let round = 0; round < ROUNDS; round++) {
      const data = () => (generator.below(4) === 0 ? generator.binary() : generator.text().replaceAll("\u001e", ""));
      const packets = [{ type: "message", data: data() }, ...generator.list(4, () => ({ type: "message", data: data() }))];
      const official = await new Promise((resolve) => encodePayload(packets, resolve));
      const ours = await codec.ask({ op: "encodePayload", frames: await Promise.all(packets.map(toFrame)) });
      assert.equal(ours.ok, official);
      await read(official);
    }
  });

  const toFrame = (packet) => new Promise((resolve) => encodePacket(packet, true, resolve));
});

// notepack 2 cuts off the upper bits of whole numbers beyond 64 bits; Carillon writes them as doubles.
const LARGEST = { json: Number.MAX_VALUE, msgpack: Number.MAX_SAFE_INTEGER };

for (const [parser, { Encoder }] of Object.entries(parsers)) {
  test(`${parser}: both write the same and read each other`, async () => {
    const generator = new Generator(2, LARGEST[parser]);
    for (let round = 0; round < ROUNDS; round++) {
      const packet = generator.packet();
      const { ok } = await codec.ask({ op: "encode", parser, packet });
      const expected = reduced(packet);
      // The official encoder changes the packet it is given.
      const written = new Encoder().encode(packet);

      assert.deepEqual(ok, frames(written));
      assert.deepEqual(officialRead(parser, messages(ok)), expected);
      assert.deepEqual(await carillonRead(parser, written), expected);
    }
  });
}

describe("json texts", () => {
  const parts = {
    type: ["0", "1", "2", "2", "2", "3", "4", "5", "6", "7", "x", ""],
    count: ["", "", "", "0-", "1-", "2-", "10-", "11-", "-", "x-"],
    nsp: ["", "", "", "/", "/a", "/a,", "/,", "/a?b=1,", ","],
    id: ["", "", "0", "12", "007", "9007199254740991", "x", "-1"],
    json: [
      "", "[]", "{}", "null", "true", "1", '"a"', '["a"]', '["a",1]', "[1]", "[null]", "[[]]", '["connect"]', '["disconnecting"]', "[",
      '["a",1e400,-1e400]', '["a",0.1,1e-400,123456789012345678901234567890]', '["\\ud83d","\\ude00","\\ud83d\\ude00","\\\\ud83d"]',
      '["a\n"]', '["a"]x', ' ["a" , 1 ] ', '{"a":1,"a":2}', '["a",{"b":1,"b":2}]', '["a",{"_placeholder":true,"num":0}]',
      '["a",{"b":[{"_placeholder":true,"num":1}]},{"_placeholder":true,"num":0}]', '["a",{"_placeholder":true,"num":"0"}]',
      '["a",{"_placeholder":true}]', '["a",{"_placeholder":1,"num":0}]', '{"message":"no","data":{"a":1}}', '[{"_placeholder":true,"num":0}]',
    ],
  };

  test("are read alike, with and without attachments", async () => {
    const generator = new Generator(3);
    for (let round = 0; round < 4 * ROUNDS; round++) {
      const [type, count, nsp, id, json] = Object.values(parts).map((choices) => generator.pick(choices));
      const text = `${type}${count}${nsp}${id}${json}`;
      if (isReadOtherwise(text) || isAckWithoutId(text)) continue;
      const attachments = generator.list(2, () => generator.pick([Buffer.from([1, 2]), Buffer.alloc(0), "2[\"a\"]"]));
      await assertReadAlike("json", [text, ...attachments]);
    }
  });

  /** Node counts a space, and nothing at all, as the digit 0: of a packet type, of an ack id and of a count. */
  const isReadOtherwise = (text) => text === "" || /^[^[{"]* /.test(text);

  /** Refused here with its first message. */
  const isAckWithoutId = (text) => /^(3|6\d*-)(\/[^,]*(,|$)|(?!\/))(\D|$)/.test(text);
});

test("damaged msgpack is read alike", async () => {
  const generator = new Generator(4, LARGEST.msgpack);
  let refusedHereAlone = 0;
  for (let round = 0; round < 4 * ROUNDS; round++) {
    const [bytes] = new msgpackParser.Encoder().encode(generator.packet());
    const damaged = Buffer.from(bytes);
    damaged[generator.below(damaged.length)] = generator.below(256);

    const theirs = officialRead("msgpack", [damaged]);
    const ours = await carillonRead("msgpack", [damaged]);
    if (ours !== undefined) assert.deepEqual(ours, theirs, show([damaged]));
    else if (theirs && !isRefusedHere("msgpack", theirs)) refusedHereAlone++;
  }
  // Maps with lists, maps or binary as keys: JavaScript makes text of them.
  assert.ok(refusedHereAlone < ROUNDS / 100, `${refusedHereAlone} refused here alone`);
});

describe("msgpack of JavaScript values", () => {
  const values = [undefined, new Date(1790000000120), new Date(NaN), new Uint8Array([1]), new Uint8Array(300).buffer, "\ud83d", { a: undefined }, -0, NaN, Infinity];
  for (const value of values) {
    test(String(value), () => assertReadAlike("msgpack", new msgpackParser.Encoder().encode({ type: 2, nsp: "/", data: ["a", value] })));
  }
});
