// The TypeScript description of the Socket.IO events (docs/api/events.d.ts), held against the official client's types by a
// typed client (types/client.ts), and against a live node: what it sent is written down as TypeScript and compiled. The
// compiler refuses a key that is not described, a missing one, and a value of another type.

import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { fileURLToPath } from "node:url";
import { chatOf, startNode } from "./carillon.js";

const HERE = fileURLToPath(new URL(".", import.meta.url));
const EVENTS = fileURLToPath(new URL("../../../docs/api/events.js", import.meta.url));

/** What the compiler says of a project, nothing where it is content. */
function compile(project) {
  return new Promise((resolve, reject) => {
    execFile(process.execPath, [join(HERE, "node_modules/typescript/bin/tsc"), "-p", project], (error, output) => {
      if (error && !output) reject(error);
      else resolve(output);
    });
  });
}

test("a typed client compiles, and what it must not do does not", async () => {
  assert.equal(await compile(join(HERE, "types")), "");
});

describe("a live node", () => {
  let node;
  let folder;
  /** `{ event, payload }` of all that came, and `{ event, answer }` of all acknowledgements. */
  const sent = [];
  const acknowledged = [];

  before(async () => {
    node = await startNode({ env: { CARILLON_MESSAGE_BURST: "2", CARILLON_MESSAGE_RATE: "1" } });
    // Beside the project, so that the compiler finds it.
    folder = await mkdtemp(join(HERE, "types", "live-"));
    await converse();
  });
  after(async () => {
    if (folder) await rm(folder, { recursive: true, force: true });
    await node?.stop();
  });

  /** Brings every event, every acknowledgement and a refusal of each event about. */
  async function converse() {
    const alice = await node.connect("alice");
    const bob = await node.connect("bob");
    const chatboxId = chatOf("alice", "bob");
    const ask = async (client, event, ...args) => {
      const answer = await client.ask(event, ...args);
      acknowledged.push({ event, answer });
      return answer;
    };
    await ask(bob, "joinChat", { chatboxId });
    await ask(alice, "joinChat", { chatboxId });
    const { messageId } = await ask(alice, "sendMessage", {
      receiverId: "bob",
      message: "hello",
      senderName: "Alice",
      receiverName: "Bob",
    });
    await ask(bob, "typing", { chatboxId, isTyping: true });
    await ask(bob, "markMessageRead", { messageId, chatboxId });
    await ask(alice, "getOnlineUsers");
    await ask(alice, "leaveChat", { chatboxId });
    const exp = Math.floor(Date.now() / 1000) + 3_600;
    await ask(alice, "refreshToken", { token: node.token("alice", { exp }) });
    await ask(alice, "refreshToken", { token: node.token("alice") });
    const metadata = { messageId: "m", messagePreview: "p", priority: "high" };
    const json = { toUser: "bob", fromUser: "alice", message: "psst", type: "alert", metadata };
    assert.equal((await node.rest("POST", "/api/notifications/create", { as: "alice", json })).status, 201);

    for (const event of ["joinChat", "leaveChat", "sendMessage", "markMessageRead", "typing", "refreshToken"]) {
      await ask(alice, event, {});
    }
    await ask(alice, "joinChat", { chatboxId: "carol_dave" });
    await ask(alice, "markMessageRead", { messageId: "0".repeat(24), chatboxId });
    await ask(alice, "refreshToken", { token: node.token("alice", { exp: exp - 7_200 }) });
    const flood = Array.from({ length: 5 }, () => ask(bob, "sendMessage", { receiverId: "alice", message: "m", senderName: "B", receiverName: "A" }));
    const refused = (await Promise.all(flood)).filter(({ error }) => error?.code === "rate_limited");
    assert.ok(refused.length > 0);

    const carol = await node.connect("carol");
    carol.close();
    await bob.next("userStatusChange", { match: ({ userId, status }) => userId === "carol" && status === "offline" });
    await Promise.all([alice.fence(), bob.fence()]);
    for (const client of [alice, bob]) {
      for (const { event, payload } of client.received) if (event !== "connect") sent.push({ event, payload });
    }
  }

  /** Compiles lines that may use what the description exports. */
  async function judge(lines) {
    const imports = `import type { ClientToServerEvents, ErrorPayload, ServerToClientEvents } from ${JSON.stringify(EVENTS)};`;
    const helpers = [
      "type Payload<Event extends keyof ServerToClientEvents> = Parameters<ServerToClientEvents[Event]>[0];",
      "type Last<Args extends unknown[]> = Args extends [...infer _, infer L] ? L : never;",
      "type Answer<Event extends keyof ClientToServerEvents> =",
      "  Last<Parameters<ClientToServerEvents[Event]>> extends (answer: infer A) => void ? A : never;",
      "type Keys<T> = T extends readonly (infer Item)[] ? Keys<Item> : T extends unknown ? keyof T : never;",
      "type None<T> = [T] extends [never] ? true : T;",
    ];
    await writeFile(join(folder, "live.ts"), [imports, ...helpers, ...lines, ""].join("\n"));
    const settings = { extends: "../tsconfig.json", include: ["live.ts"] };
    await writeFile(join(folder, "tsconfig.json"), JSON.stringify(settings));
    return compile(folder);
  }

  const satisfies = (value, type) => `(${JSON.stringify(value)}) satisfies ${type};`;
  const events = () => sent.map(({ event, payload }) => satisfies(payload, `Payload<${JSON.stringify(event)}>`));
  const answers = () => acknowledged.map(({ event, answer }) => satisfies(answer, `Answer<${JSON.stringify(event)}>`));
  const union = (values) => [...new Set(values)].map((value) => JSON.stringify(value)).join(" | ") || "never";

  test("sends no key and no event that is not described, and none without what is described", async () => {
    assert.equal(await judge([...events(), ...answers()]), "");
  });

  test("sends every event that is described, and acknowledges every one", async () => {
    assert.equal(
      await judge([
        `true satisfies None<Exclude<keyof ServerToClientEvents, ${union(sent.map(({ event }) => event))}>>;`,
        `true satisfies None<Exclude<keyof ClientToServerEvents, ${union(acknowledged.map(({ event }) => event))}>>;`,
      ]),
      "",
    );
  });

  test("sends every key that is described", async () => {
    const keysOf = (values) => union(values.flat().flatMap((value) => Object.keys(value)));
    const names = [...new Set(sent.map(({ event }) => event))];
    const lines = names.map((name) => {
      const seen = keysOf(sent.filter(({ event }) => event === name).map(({ payload }) => payload));
      // Only a development node tells details.
      return `true satisfies None<Exclude<Keys<Payload<${JSON.stringify(name)}>>, ${seen} | "details">>;`;
    });
    assert.equal(await judge(lines), "");
  });

  test("gives every code that a node can be brought to, and no other", async () => {
    const codes = acknowledged.flatMap(({ answer }) => answer.error?.code ?? []);
    // These two come of failing servers.
    const all = union([...codes, "unavailable", "internal"]);
    assert.equal(await judge([`true satisfies None<Exclude<ErrorPayload["code"], ${all}>>;`]), "");
  });

  for (const [name, change] of [
    ["a key that is not described", (payload) => ({ ...payload, more: 1 })],
    ["a missing key", ({ seq: _, ...payload }) => payload],
    ["a value of another type", (payload) => ({ ...payload, seq: "1" })],
  ]) {
    test(`would be found out: ${name}`, async () => {
      const { payload } = sent.find(({ event }) => event === "receiveMessage");
      // Not by a fault of syntax (TS1005 and the like).
      assert.match(await judge([satisfies(change(payload), 'Payload<"receiveMessage">')]), /error TS(1360|2\d{3})/);
    });
  }
});
