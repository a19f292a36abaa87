// What nodes measure of each other: a message's way from one to the next, the link to Redis, the traces of either side.

import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { startCluster } from "../cluster.js";
import { Collector } from "../collector.js";
import { eventually } from "../process.js";

describe("metrics and traces of a cluster", () => {
  let cluster;
  let collector;

  before(async () => {
    collector = await Collector.start();
    cluster = await startCluster({ env: { CARILLON_OTLP_ENDPOINT: collector.url } });
  });
  after(async () => {
    await cluster?.stop();
    await collector?.stop();
  });

  const value = async (index, series) => {
    const { text } = await cluster.nodes[index].get("/metrics");
    const line = text.split("\n").find((line) => line.startsWith(`${series} `));
    assert.ok(line, series);
    return Number(line.slice(series.length + 1));
  };

  test("a message to another node is measured there, as remote", async () => {
    const [alice, bob] = await cluster.connectTo([0, "alice"], [1, "bob"]);
    await bob.join("alice_bob");
    await alice.send("bob", "hello");
    await bob.next("receiveMessage");

    const written = 'carillon_message_deliveries_total{outcome="written",path="remote"}';
    await eventually(async () => (await value(1, written)) === 2, { what: "message and notification written" });
    assert.equal(await value(1, 'carillon_message_delivery_latency_seconds_count{path="remote"}'), 2);
    assert.equal(await value(1, 'carillon_message_delivery_latency_seconds_count{path="local"}'), 0);
    const seconds = await value(1, 'carillon_message_delivery_latency_seconds_sum{path="remote"}');
    assert.ok(seconds >= 0 && seconds < 10, `${seconds} s`);
    assert.equal(await value(0, 'carillon_message_deliveries_total{outcome="written",path="remote"}'), 0);
  });

  test("a message to the sender's own node stays local, also by way of Redis", async () => {
    const [carol, dave] = await cluster.connectTo([2, "carol"], [2, "dave"]);
    await dave.join("carol_dave");
    await carol.send("dave", "hello");
    await dave.next("receiveMessage");
    const written = 'carillon_message_deliveries_total{outcome="written",path="local"}';
    await eventually(async () => (await value(2, written)) === 2, { what: "message and notification written" });
    assert.ok((await value(2, "carillon_backplane_lag_seconds_count")) > 0);
  });

  test("the link to Redis, its clock and the search for dead nodes' users are looked at", async () => {
    await eventually(async () => (await value(0, "carillon_backplane_probe_rtt_seconds_count")) > 0, { what: "a probe" });
    assert.equal(await value(0, "carillon_cluster_nodes"), 3);
    assert.equal(await value(0, "carillon_backplane_degraded_seconds_total"), 0);
    assert.ok(Math.abs(await value(0, "carillon_clock_skew_seconds")) < 1);
    const swept = () => value(0, "carillon_presence_last_sweep_timestamp_seconds");
    const before = await swept();
    await eventually(async () => (await swept()) > before, { what: "another sweep" });
  });

  test("each node traces its own part", async () => {
    const remote = await collector.span("deliver receiveMessage", ({ attributes }) => attributes["carillon.origin"] === "remote");
    assert.equal(remote.parentSpanId, "");
    const local = await collector.span("deliver receiveMessage", ({ attributes }) => attributes["carillon.origin"] === "local");
    const publish = await collector.span("publish", ({ spanId }) => spanId === local.parentSpanId);
    assert.equal(publish.traceId, local.traceId);
  });

  test("an outage is counted while it lasts", async () => {
    const isUp = () => value(0, "carillon_backplane_up");
    await cluster.redis.kill();
    await eventually(async () => (await isUp()) === 0, { what: "the end of the link" });
    await eventually(async () => (await value(0, "carillon_backplane_degraded_seconds_total")) > 0, { what: "time" });
    assert.equal(await value(0, 'carillon_dependency_up{dependency="backplane"}'), 0);
    await cluster.redis.start();
    await eventually(async () => (await isUp()) === 1, { what: "the link" });
    assert.equal(await value(0, "carillon_backplane_reconnects_total"), 1);
  });
});
