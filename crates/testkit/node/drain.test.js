// How a node ends: what it still does, how it spreads the end of its connections, what a second signal does.

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { startNode } from "./carillon.js";
import { eventually, freePort } from "./process.js";
import { Frames, Polling, within } from "./wire.js";

const SOCKETS = 500;
const WINDOW = 2_000;

/** A joined socket that remembers when it was closed. */
async function open(node) {
  const frames = await Frames.open(node.endpoint);
  frames.send(`40${JSON.stringify({ token: node.token("crowd") })}`);
  await frames.until((frame) => frame.startsWith("40"));
  const closed = frames.closed.then((code) => ({ at: performance.now(), code }));
  return { frames, closed };
}

describe("a drain", () => {
  test(`spreads the end of ${SOCKETS} connections evenly, the oldest first, and serves those that are left`, async () => {
    const internal = await freePort();
    const env = { CARILLON_DRAIN_WINDOW: `${WINDOW}ms`, CARILLON_LIMITS: "off", CARILLON_INTERNAL_PORT: String(internal) };
    const node = await startNode({ env, healthPort: internal });
    try {
      const sockets = [];
      for (let i = 0; i < SOCKETS; i += 1) sockets.push(await open(node));
      const scrapes = [];
      const watching = (async () => {
        for (;;) {
          const text = await fetch(`http://127.0.0.1:${internal}/metrics`).then((response) => response.text(), () => undefined);
          if (text === undefined) return;
          const left = Number(text.match(/^carillon_drain_connections_remaining (\d+)$/m)[1]);
          scrapes.push({ left, isDraining: text.includes("\ncarillon_draining 1\n") });
        }
      })();

      node.process.signal("SIGTERM");
      const first = await sockets[0].closed;
      const refused = await node.raw("GET", "/socket.io/?EIO=4&transport=polling");
      assert.equal(refused.status, 503);
      assert.ok(Number(refused.headers["retry-after"]) >= 1);
      const last = sockets.at(-1).frames;
      last.send('421["getOnlineUsers"]');
      await last.until((frame) => frame?.startsWith("431"));

      const closes = await within(Promise.all(sockets.map(({ closed }) => closed)), "the end of all", 15_000);
      assert.deepEqual(await within(node.process.exited, "the end of the node", 15_000), { code: 0, signal: null });
      await watching;

      for (const { code } of closes) assert.equal(code, 1012);
      const times = closes.map(({ at }) => at - first.at);
      // No faster than the pace: that is what spares the other nodes. A machine that is busy may make it slower.
      const inOrder = times.toSorted((one, other) => one - other);
      const early = inOrder.filter((time, place) => time < (place / SOCKETS - 1 / 8) * WINDOW);
      assert.equal(early.length, 0, `${early.length} closed early: ${inOrder.map(Math.round)}`);
      assert.ok(inOrder.at(-1) < 2 * WINDOW, `the last was closed after ${inOrder.at(-1)} ms`);
      // Those of one wave may be seen in any order, and a wave or two at once.
      const order = times.map((time, index) => ({ time, index })).sort((one, other) => one.time - other.time);
      const astray = order.filter(({ index }, place) => Math.abs(index - place) > SOCKETS / 10);
      assert.equal(astray.length, 0, `${astray.length} closed out of turn`);

      const draining = scrapes.filter(({ isDraining }) => isDraining).map(({ left }) => left);
      // Once the last has gone the node ends so soon that nobody may see it.
      assert.ok(draining.length > 3 && draining.at(-1) < SOCKETS / 10, draining.join());
      assert.deepEqual(draining, draining.toSorted((one, other) => other - one), "connections that are left only get fewer");
    } finally {
      await node.stop();
    }
  });

  test("of a few connections takes no longer than they need", async () => {
    const node = await startNode();
    const { closed } = await open(node);
    const since = performance.now();
    assert.deepEqual(await node.stop(), { code: 0, signal: null });
    await closed;
    assert.ok(performance.now() - since < 5_000);
  });

  for (const [signal, code] of [["SIGTERM", 143], ["SIGINT", 130]]) {
    test(`ends at once by a second signal: ${signal} makes the exit code ${code}`, async () => {
      const node = await startNode();
      // A client that does not fetch its farewell is waited for.
      await Polling.open(node.endpoint);
      node.process.signal("SIGTERM");
      await eventually(async () => (await node.raw("GET", "/readyz")).status === 503, { what: "503 from /readyz" });
      node.process.signal(signal);
      assert.deepEqual(await within(node.process.exited, "the end of the node", 5_000), { code, signal: null });
      assert.match(node.process.output, /a second time/);
      assert.doesNotMatch(node.process.output, /drained/);
      await node.stop();
    });
  }

  test("that is not done in time says so and ends all the same", async () => {
    const node = await startNode({ env: { CARILLON_DRAIN_TIMEOUT: "300ms" } });
    await Polling.open(node.endpoint);
    node.process.signal("SIGTERM");
    assert.deepEqual(await within(node.process.exited, "the end of the node", 10_000), { code: 0, signal: null });
    assert.match(node.process.output, /not every client took its leave in time/);
    await node.stop();
  });
});
