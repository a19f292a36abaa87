// A receiver of OpenTelemetry traces: OTLP over gRPC, that is protobuf messages over HTTP/2, read by hand.

import { once } from "node:events";
import { createServer } from "node:http2";
import { eventually } from "./process.js";

const EXPORT = "/opentelemetry.proto.collector.trace.v1.TraceService/Export";

/** The fields of opentelemetry-proto that the tests look at, by number: a name, and what a nested message is. */
const ANY_VALUE = { 1: ["string"], 2: ["bool"], 3: ["int"], 4: ["double"] };
const KEY_VALUE = { 1: ["key"], 2: ["value", ANY_VALUE] };
const RESOURCE = { 1: ["attributes", KEY_VALUE] };
const SPAN = {
  1: ["traceId"],
  2: ["spanId"],
  4: ["parentSpanId"],
  5: ["name"],
  6: ["kind"],
  9: ["attributes", KEY_VALUE],
  15: ["status", { 3: ["code"] }],
};
const REQUEST = { 1: ["resourceSpans", { 1: ["resource", RESOURCE], 2: ["scopeSpans", { 2: ["spans", SPAN] }] }] };

/** `SPAN_KIND_*` of the protocol. */
export const KIND = { internal: 1, server: 2, client: 3, producer: 4, consumer: 5 };

/** A message as an object of arrays, one for each field that the schema names. */
function decode(bytes, schema) {
  const message = {};
  let at = 0;
  const varint = () => {
    let value = 0n;
    for (let shift = 0n; ; shift += 7n) {
      const byte = bytes[at++];
      value |= BigInt(byte & 0x7f) << shift;
      if (byte < 0x80) return Number(value);
    }
  };
  const take = (length) => bytes.subarray(at, (at += length));
  while (at < bytes.length) {
    const key = varint();
    const [number, wire] = [key >>> 3, key & 7];
    const value = wire === 0 ? varint() : take(wire === 1 ? 8 : wire === 5 ? 4 : varint());
    const [name, nested] = schema[number] ?? [];
    if (name) (message[name] ??= []).push(nested ? decode(value, nested) : value);
  }
  return message;
}

const text = ([bytes] = []) => bytes?.toString("utf8");
const hex = ([bytes] = []) => bytes?.toString("hex") ?? "";

function attributes(pairs = []) {
  const value = ([{ string, bool, int, double }]) => text(string) ?? bool?.[0] ?? int?.[0] ?? double?.[0];
  return Object.fromEntries(pairs.map(({ key, value: [...any] }) => [text(key), value(any)]));
}

export class Collector {
  #server = createServer();
  #sessions = new Set();
  /** Every span so far: `{ name, traceId, spanId, parentSpanId, kind, attributes, resource }`. */
  spans = [];
  /** Every request as it came. */
  bytes = Buffer.alloc(0);

  static async start() {
    const collector = new Collector();
    collector.#server.on("session", (session) => collector.#sessions.add(session));
    collector.#server.on("stream", (stream, headers) => collector.#answer(stream, headers));
    collector.#server.listen(0, "127.0.0.1");
    await once(collector.#server, "listening");
    collector.url = `http://127.0.0.1:${collector.#server.address().port}`;
    return collector;
  }

  async #answer(stream, headers) {
    const chunks = [];
    for await (const chunk of stream) chunks.push(chunk);
    const body = Buffer.concat(chunks);
    const isExport = headers[":path"] === EXPORT && body[0] === 0;
    stream.respond({ ":status": 200, "content-type": "application/grpc" }, { waitForTrailers: true });
    stream.on("wantTrailers", () => stream.sendTrailers({ "grpc-status": isExport ? "0" : "12" }));
    if (isExport) this.#take(body);
    // An empty message, uncompressed.
    stream.end(Buffer.alloc(5));
  }

  #take(body) {
    this.bytes = Buffer.concat([this.bytes, body]);
    for (const { resource, scopeSpans = [] } of decode(body.subarray(5), REQUEST).resourceSpans) {
      for (const span of scopeSpans.flatMap(({ spans = [] }) => spans)) {
        this.spans.push({
          name: text(span.name),
          traceId: hex(span.traceId),
          spanId: hex(span.spanId),
          parentSpanId: hex(span.parentSpanId),
          kind: span.kind?.[0],
          status: span.status?.[0]?.code?.[0] ?? 0,
          attributes: attributes(span.attributes),
          resource: attributes(resource[0].attributes),
        });
      }
    }
  }

  /** The first span of this name, once it has come. */
  span(name, match = () => true) {
    return eventually(() => this.spans.find((span) => span.name === name && match(span)), { what: `the span ${name}` });
  }

  async stop() {
    for (const session of this.#sessions) session.destroy();
    this.#server.close();
    await once(this.#server, "close");
  }
}
