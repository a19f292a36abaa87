// Metrics of the built node: what Prometheus' own tool says of them, and what a conversation leaves in them.

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { readFile } from "node:fs/promises";
import { after, before, describe, test } from "node:test";
import { startNode } from "./carillon.js";
import { eventually } from "./process.js";
import { Polling } from "./wire.js";

const DOCS = new URL("../../../docs/operations/metrics.md", import.meta.url);

/** What `promtool check metrics` says of a text: nothing where all is well. */
async function promtool(text) {
  const tool = spawn(process.env.CARILLON_TEST_PROMTOOL ?? "promtool", ["check", "metrics"]);
  let said = "";
  for (const stream of [tool.stdout, tool.stderr]) stream.on("data", (chunk) => (said += chunk));
  tool.stdin.end(text);
  const [code] = await once(tool, "close");
  return { code, said };
}

describe("metrics", () => {
  let node;

  before(async () => {
    node = await startNode();
  });
  after(() => node?.stop());

  const scrape = async () => (await node.get("/metrics")).text;
  /** The value of one series, told by its name and labels. */
  const value = async (series) => {
    const line = (await scrape()).split("\n").find((line) => line.startsWith(`${series} `));
    assert.ok(line, series);
    return Number(line.slice(series.length + 1));
  };
  const grows = (series, than) =>
    eventually(async () => (await value(series)) > than, { what: `${series} above ${than}` });

  test("a fresh node tells each metric that the documentation lists, and promtool finds no fault", async () => {
    const text = await scrape();
    const listed = [...(await readFile(DOCS, "utf8")).matchAll(/^\| `(carillon_\w+)` \| (\w+)/gm)];
    assert.ok(listed.length > 60, `${listed.length} metrics`);
    for (const [, name, type] of listed) assert.ok(text.includes(`\n# TYPE ${name} ${type}\n`), `${name} ${type}`);
    for (const name of ["process_resident_memory_bytes", "process_open_fds", "process_max_fds", "process_cpu_seconds_total"]) {
      assert.ok(text.includes(`\n${name} `), name);
    }
    assert.deepEqual(await promtool(text), { code: 0, said: "" });
  });

  test("promtool finds what is wrong", async () => {
    const { code } = await promtool("# TYPE a_total gauge\na_total 1\n");
    assert.notEqual(code, 0);
  });

  test("a message leaves its latency, its delivery and its size", async () => {
    const [alice, bob] = await node.connectAll("alice", "bob");
    await bob.join("alice_bob");
    await alice.send("bob", "hello");
    await bob.next("receiveMessage");

    assert.equal(await value('carillon_message_sends_total{outcome="ok",source="socket"}'), 1);
    assert.equal(await value('carillon_message_size_bytes_sum'), 5);
    assert.equal(await value('carillon_message_fanout_recipients_sum'), 1);
    // To bob: the message and its notification.
    await grows('carillon_message_deliveries_total{outcome="written",path="local"}', 1);
    assert.equal(await value('carillon_message_delivery_latency_seconds_count{path="local"}'), 2);
    const seconds = await value('carillon_message_delivery_latency_seconds_sum{path="local"}');
    assert.ok(seconds > 0 && seconds < 5, `${seconds} s`);
    assert.equal(await value('carillon_message_delivery_latency_seconds_count{path="remote"}'), 0);
    assert.equal(await value('carillon_notifications_total{channel="in_app",outcome="live"}'), 1);
    assert.equal(await value('carillon_events_total{event="joinChat",outcome="ok"}'), 1);
    assert.equal(await value('carillon_store_operations_total{op="append_message",result="ok"}'), 1);
    assert.equal(await value("carillon_users"), 2);
    assert.equal(await value("carillon_rooms"), 3);
    assert.equal(await value("carillon_room_memberships"), 3);
  });

  test("a resend is a duplicate", async () => {
    const carol = await node.connect("carol");
    for (let time = 0; time < 2; time += 1) await carol.send("bob", "once", { clientMessageId: "c1" });
    assert.equal(await value('carillon_message_sends_total{outcome="duplicate",source="socket"}'), 1);
  });

  test("what was missed is counted when the session comes back", async () => {
    const [dave, erin] = await node.connectAll("dave", "erin");
    await dave.join("dave_erin");
    await erin.send("dave", "for the offset");
    await dave.next("receiveMessage");
    const before = await value('carillon_message_delivery_latency_seconds_count{path="recovery"}');
    await dave.drop();
    await erin.send("dave", "missed");
    assert.equal(await dave.reconnect(), true);

    assert.equal(await value('carillon_recoveries_total{outcome="full"}'), 1);
    await grows('carillon_message_delivery_latency_seconds_count{path="recovery"}', before + 1);
  });

  test("requests are told by their templates, refusals by their reasons", async () => {
    await node.get("/api/chat/user/alice/unread-count", { as: "alice" });
    await node.get("/no/such/route", { as: "alice" });
    const route = 'carillon_http_requests_total{method="GET",route="/api/chat/user/{userId}/unread-count",status="2xx"}';
    assert.equal(await value(route), 1);
    assert.equal(await value('carillon_http_requests_total{method="other",route="other",status="4xx"}'), 1);

    await node.refusal({ token: "no.such.token" });
    assert.equal(await value('carillon_connections_rejected_total{reason="unauthenticated"}'), 1);
    assert.equal(await value('carillon_handshakes_total{outcome="client_error"}'), 1);
    assert.equal(await value('carillon_auth_attempts_total{method="jwt",result="malformed"}'), 1);
    await node.raw("GET", "/socket.io/?EIO=4&transport=polling", { headers: { origin: "http://evil.example", host: "a" } });
    assert.equal(await value('carillon_connections_rejected_total{reason="origin"}'), 1);
  });

  test("packets, bytes and the way from polling to WebSocket are counted", async () => {
    const frank = await node.connect("frank", { transports: ["polling", "websocket"] });
    await frank.upgraded();
    await frank.fence();
    await eventually(async () => (await value('carillon_transport_upgrades_total{result="ok"}')) === 1);
    assert.ok((await value('carillon_received_bytes_total{transport="polling"}')) > 0);
    assert.ok((await value('carillon_sent_bytes_total{transport="websocket"}')) > 0);
    assert.ok((await value('carillon_packets_received_total{type="message"}')) > 0);
    assert.ok((await value('carillon_packets_sent_total{type="open"}')) > 0);
    frank.close();
    await grows('carillon_connection_duration_seconds_count{transport="polling"}', 0);
  });

  test("what waits for a client that does not read is told", async () => {
    const silent = await Polling.open(node.endpoint);
    await silent.post(`40${JSON.stringify({ token: node.token("gina") })}`);
    await eventually(async () => (await value("carillon_outbound_queue_bytes")) > 0, { what: "what waits" });
    assert.ok((await value("carillon_outbound_queue_max_bytes")) <= (await value("carillon_outbound_queue_limit_bytes")));
    await silent.packets();
  });

  test("the threads that serve are measured", async () => {
    await grows("carillon_event_loop_lag_seconds_count", 0);
    assert.ok((await value("carillon_tokio_workers")) >= 2);
    assert.ok((await value("carillon_tokio_worker_busy_seconds_total")) > 0);
    assert.ok((await value("carillon_memory_limit_bytes")) > 2 ** 20);
    assert.ok((await value('carillon_log_messages_total{level="info"}')) > 0);
  });
});

test("a ping's way is measured", async () => {
  const node = await startNode({ env: { SOCKET_PING_INTERVAL: "50" } });
  try {
    await node.connect("alice");
    await eventually(async () => (await node.metric("carillon_ping_rtt_seconds_count")) > 1, { what: "pongs" });
  } finally {
    await node.stop();
  }
});
