// Traces over OTLP, as a receiver gets them.

import assert from "node:assert/strict";
import { createServer } from "node:net";
import { after, before, describe, test } from "node:test";
import { once } from "node:events";
import { startNode } from "./carillon.js";
import { Collector, KIND } from "./collector.js";
import { eventually, freePort } from "./process.js";

describe("with a receiver", () => {
  let collector;
  let node;
  const secrets = { text: "the text of a message that nobody else may read", query: "a-query-that-nobody-may-read" };

  before(async () => {
    collector = await Collector.start();
    node = await startNode({ env: { CARILLON_OTLP_ENDPOINT: collector.url } });
  });
  after(async () => {
    await node?.stop();
    await collector?.stop();
  });

  test("a message is one trace: the event, the store, the announcement, its delivery", async () => {
    const [alice, bob] = await node.connectAll("alice", "bob");
    await bob.join("alice_bob");
    alice.emit("typing", { chatboxId: "alice_bob", isTyping: true });
    await alice.send("bob", secrets.text);
    await bob.next("receiveMessage");

    const event = await collector.span("event sendMessage");
    const [append, publish, deliver] = await Promise.all([
      collector.span("store append_message"),
      collector.span("publish"),
      collector.span("deliver receiveMessage"),
    ]);
    for (const span of [append, publish, deliver]) assert.equal(span.traceId, event.traceId, span.name);
    assert.equal(event.parentSpanId, "");
    assert.equal(append.parentSpanId, event.spanId);
    assert.equal(publish.parentSpanId, event.spanId);
    assert.equal(deliver.parentSpanId, publish.spanId);
    assert.deepEqual(
      [event, append, publish, deliver].map(({ kind }) => kind),
      [KIND.server, KIND.client, KIND.producer, KIND.consumer],
    );
    assert.equal(event.attributes["carillon.event"], "sendMessage");
    assert.equal(append.attributes["db.operation.name"], "append_message");
    assert.equal(deliver.attributes["carillon.origin"], "local");
    assert.equal(event.resource["service.name"], "carillon");
    assert.match(event.resource["service.instance.id"], /^\S{8,}$/);
  });

  test("a request goes on with its caller's trace", async () => {
    const [traceId, spanId] = ["4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"];
    const headers = { traceparent: `00-${traceId}-${spanId}-01` };
    await node.get(`/api/chat/messages/alice_bob?page=1&limit=5&x=${secrets.query}`, { as: "bob", headers });

    const request = await collector.span("GET /api/chat/messages/{chatboxId}");
    const page = await collector.span("store history_page");
    assert.equal(request.traceId, traceId);
    assert.equal(request.parentSpanId, spanId);
    assert.equal(request.kind, KIND.server);
    assert.equal(request.attributes["http.route"], "/api/chat/messages/{chatboxId}");
    assert.equal(request.attributes["http.response.status_code"], 200);
    assert.deepEqual([page.traceId, page.parentSpanId], [traceId, request.spanId]);
  });

  test("a refusal is told by its code", async () => {
    const alice = await node.connect("alice");
    await alice.ask("joinChat", { chatboxId: "bob_carol" });
    const isRefused = ({ attributes }) => attributes["carillon.refusal"] !== undefined;
    const { attributes, status } = await collector.span("event joinChat", isRefused);
    assert.equal(attributes["carillon.refusal"], "forbidden");
    assert.equal(status, 0);
  });

  test("what clients make up, and typing, is not named; nothing secret is in any of it, also not in what a stop sends", async () => {
    const carol = await node.connect("carol", { transports: ["polling"] });
    const sid = carol.engine.id;
    await carol.ask("an event that nobody knows", secrets.text).catch(() => {});
    assert.deepEqual(await node.stop(), { code: 0, signal: null });

    const names = new Set(collector.spans.map(({ name }) => name));
    assert.ok(names.has("event other") && names.has("store flush"), [...names].join());
    assert.ok(![...names].some((name) => name.includes("typing")), [...names].join());
    const sent = collector.bytes.toString("latin1");
    const token = node.token("bob");
    for (const secret of [secrets.text, secrets.query, sid, token, token.split(".")[2], "an event that nobody knows"]) {
      assert.ok(!sent.includes(secret), secret);
    }
  });
});

test("OTEL_EXPORTER_OTLP_ENDPOINT counts as well, and of a share of 0 nothing is sent but what a caller has begun", async () => {
  const collector = await Collector.start();
  const node = await startNode({
    env: { OTEL_EXPORTER_OTLP_ENDPOINT: collector.url, CARILLON_TRACE_RATIO: "0", OTEL_SERVICE_NAME: "chat" },
  });
  try {
    await node.get("/api/chat/user/alice/chats", { as: "alice" });
    const headers = { traceparent: "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01" };
    await node.get("/api/chat/user/alice/unread-count", { as: "alice", headers });
    const { resource } = await collector.span("GET /api/chat/user/{userId}/unread-count");
    assert.equal(resource["service.name"], "chat");
    await node.stop();
    assert.deepEqual(new Set(collector.spans.map(({ traceId }) => traceId)), new Set(["4bf92f3577b34da6a3ce929d0e0e4736"]));
  } finally {
    await node.stop();
    await collector.stop();
  }
});

describe("without its receiver a node serves on, counts what is lost, and ends", () => {
  const check = async (endpoint) => {
    const node = await startNode({ env: { CARILLON_OTLP_ENDPOINT: endpoint } });
    try {
      const [alice, bob] = await node.connectAll("alice", "bob");
      await bob.join("alice_bob");
      await alice.send("bob", "hello");
      await bob.next("receiveMessage");
      const lost = () => node.metric("carillon_trace_spans_dropped_total");
      await eventually(async () => (await lost()) > 0, { what: "spans that were lost" });
      assert.equal((await alice.send("bob", "again")).seq, 2);
      assert.deepEqual(await node.stop(), { code: 0, signal: null });
    } finally {
      await node.stop();
    }
  };

  test("nobody listens", async () => {
    await check(`http://127.0.0.1:${await freePort()}`);
  });

  test("it says nothing", async () => {
    const sockets = new Set();
    const silent = createServer((socket) => sockets.add(socket.on("error", () => {}))).listen(0, "127.0.0.1");
    await once(silent, "listening");
    try {
      await check(`http://127.0.0.1:${silent.address().port}`);
    } finally {
      for (const socket of sockets) socket.destroy();
      silent.close();
    }
  });
});
