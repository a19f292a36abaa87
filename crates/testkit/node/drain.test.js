// How a node ends: what it still does, how it spreads the end of its connections, what a second signal does.

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { startNode } from "./carillon.js";
import { eventually, freePort } from "./process.js";
import { Frames, Polling, within } from "./wire.js";

const SOCKETS = 1_000;
const AT_ONCE = 50;
/** As long as a node takes for so many, 250 a second. */
const WINDOW = 4_000;
/** So long that no test lives to see its end. */
const NEVER = "10m";

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
    const env = { CARILLON_DRAIN_WINDOW: NEVER, CARILLON_DRAIN_TIMEOUT: NEVER, CARILLON_LIMITS: "off", CARILLON_INTERNAL_PORT: String(internal) };
    const node = await startNode({ env, healthPort: internal });
    try {
      const sockets = [];
      while (sockets.length < SOCKETS) sockets.push(...(await Promise.all(Array.from({ length: AT_ONCE }, () => open(node)))));
      const scrapes = [];
      const watching = (async () => {
        for (;;) {
          const text = await fetch(`http://127.0.0.1:${internal}/metrics`).then((response) => response.text()).catch(() => undefined);
          if (text === undefined) return;
          const left = Number(text.match(/^carillon_drain_connections_remaining (\d+)$/m)[1]);
          scrapes.push({ left, isDraining: text.includes("\ncarillon_draining 1\n") });
        }
      })();

      const since = performance.now();
      node.process.signal("SIGTERM");
      await Promise.race(sockets.map(({ closed }) => closed));
      const last = sockets.at(-1).frames;
      last.send('421["getOnlineUsers"]');
      assert.match((await last.until((frame) => frame === undefined || frame.startsWith("431"))).at(-1), /^431/);
      const refused = await node.raw("GET", "/socket.io/?EIO=4&transport=polling");
      assert.equal(refused.status, 503);
      assert.ok(Number(refused.headers["retry-after"]) >= 1);

      const closes = await within(Promise.all(sockets.map(({ closed }) => closed)), "the end of all");
      assert.deepEqual(await within(node.process.exited, "the end of the node"), { code: 0, signal: null });
      await watching;

      for (const { code } of closes) assert.equal(code, 1012);
      // Nobody before their turn: that is what spares the other nodes. A machine that is busy makes it later, and no order or
      // pace is seen in what is late; that they are kept is shown beside the code, by a clock of the tests.
      const early = closes.filter(({ at }, index) => at - since < ((index - (index % AT_ONCE)) / SOCKETS) * WINDOW);
      assert.equal(early.length, 0, `${early.length} closed early: ${closes.map(({ at }) => Math.round(at - since))}`);

      const draining = scrapes.filter(({ isDraining }) => isDraining).map(({ left }) => left);
      assert.ok(draining.some((left) => left > 0 && left < SOCKETS), draining.join());
      assert.deepEqual(draining, draining.toSorted((one, other) => other - one), "connections that are left only get fewer");
    } finally {
      await node.stop();
    }
  });

  test("of a few connections takes no longer than they need", async () => {
    const node = await startNode({ env: { CARILLON_DRAIN_WINDOW: NEVER, CARILLON_DRAIN_TIMEOUT: NEVER } });
    const { closed } = await open(node);
    assert.deepEqual(await node.stop(), { code: 0, signal: null });
    await closed;
  });

  for (const [signal, code] of [["SIGTERM", 143], ["SIGINT", 130]]) {
    test(`ends at once by a second signal: ${signal} makes the exit code ${code}`, async () => {
      const node = await startNode({ env: { CARILLON_DRAIN_TIMEOUT: NEVER } });
      // A client that does not fetch its farewell is waited for.
      await Polling.open(node.endpoint);
      node.process.signal("SIGTERM");
      await eventually(async () => (await node.raw("GET", "/readyz")).status === 503, { what: "503 from /readyz" });
      node.process.signal(signal);
      assert.deepEqual(await within(node.process.exited, "the end of the node"), { code, signal: null });
      assert.match(node.process.output, /a second time/);
      assert.doesNotMatch(node.process.output, /drained/);
      await node.stop();
    });
  }

  test("that is not done in time says so and ends all the same", async () => {
    const node = await startNode({ env: { CARILLON_DRAIN_TIMEOUT: "300ms" } });
    await Polling.open(node.endpoint);
    node.process.signal("SIGTERM");
    assert.deepEqual(await within(node.process.exited, "the end of the node"), { code: 0, signal: null });
    assert.match(node.process.output, /not every client took its leave in time/);
    await node.stop();
  });
});
