// First figures of one node, by a client in Node.js on the same machine: start, memory per idle socket, CPU per connect,
// per relayed event and per durable message. `make measure` runs it on the optimised binary. The client is the slower of
// the two, so the rates are what it could ask for; CPU is the node's own. Loss is an error.

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { freePort } from "../crates/testkit/node/process.js";
import { mint } from "../crates/testkit/node/token.js";

const { WebSocket } = createRequire(new URL("../crates/testkit/node/", import.meta.url))("ws");

const SOCKETS = 4_000;
const PAIRS = 100;
const TYPING_PER_PAIR = 1_000;
const TYPING_IN_FLIGHT = 5_000;
const MESSAGES_PER_PAIR = 100;
const SECRET = "a secret of this measurement alone, nothing else";
// Linux counts CPU time in ticks of 10 ms.
const TICK_US = 10_000;

const [program = "target/release/carillon"] = process.argv.slice(2);
const port = await freePort();
const dataDir = mkdtempSync(join(tmpdir(), "carillon-measure-"));
const turn = () => new Promise((resolve) => setImmediate(resolve));

function start() {
  const env = {
    PATH: process.env.PATH,
    PORT: String(port),
    JWT_SECRET: SECRET,
    CARILLON_BIND: "127.0.0.1",
    CARILLON_DATA_DIR: dataDir,
    CARILLON_LIMITS: "off",
    CARILLON_PRESENCE: "contacts",
    CARILLON_WORKERS: "1",
    CARILLON_LOG: "warn",
  };
  return spawn(program, ["serve"], { env, stdio: ["ignore", "ignore", "inherit"] });
}

const readMemoryKiB = (pid) => Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, "utf8"))[1]);

function readCpuUs(pid) {
  const fields = readFileSync(`/proc/${pid}/stat`, "utf8").split(" ");
  return (Number(fields[13]) + Number(fields[14])) * TICK_US;
}

function connect(user) {
  return new Promise((resolve, reject) => {
    const url = `ws://127.0.0.1:${port}/socket.io/?EIO=4&transport=websocket`;
    const socket = new WebSocket(url, { perMessageDeflate: false });
    socket.on("error", reject);
    socket.on("message", (data) => {
      const text = data.toString();
      if (text[0] === "0") socket.send(`40${JSON.stringify({ token: mint({ userId: user }, SECRET) })}`);
      else if (text.startsWith("40")) resolve(socket);
      else if (text === "2") socket.send("3");
    });
  });
}

const userOf = (index) => `user${index}`;
const chatOf = (pair) => [userOf(2 * pair), userOf(2 * pair + 1)].sort().join("_");
const pairs = Array.from({ length: PAIRS }, (_, pair) => pair);

/** Runs `work`, which answers how often it did something, and prints rate and CPU time of each. */
async function measure(name, pid, work) {
  const [cpu, since] = [readCpuUs(pid), performance.now()];
  const count = await work();
  const seconds = (performance.now() - since) / 1_000;
  console.log(`${name}: ${Math.round(count / seconds)}/s, ${((readCpuUs(pid) - cpu) / count).toFixed(1)} µs CPU each`);
}

async function relayTyping(sockets) {
  let received = 0;
  for (const pair of pairs) {
    sockets[2 * pair + 1].on("message", (data) => {
      received += data.toString("latin1", 0, 14) === '42["userTyping' ? 1 : 0;
    });
  }
  let sent = 0;
  const event = (pair) => `42${JSON.stringify(["typing", { chatboxId: chatOf(pair), isTyping: true }])}`;
  const events = pairs.map(event);
  for (let round = 0; round < TYPING_PER_PAIR; round += 1) {
    for (const pair of pairs) sockets[2 * pair].send(events[pair]);
    sent += PAIRS;
    while (sent - received > TYPING_IN_FLIGHT) await turn();
  }
  while (received < sent) await turn();
  return received;
}

/** Each pair sends its next message when the last one is confirmed. */
async function sendMessages(sockets) {
  const delays = [];
  const sendAll = (pair) =>
    new Promise((resolve) => {
      const socket = sockets[2 * pair];
      let confirmed = 0;
      let since;
      const send = () => {
        since = performance.now();
        const message = { receiverId: userOf(2 * pair + 1), message: `hello ${confirmed}`, senderName: "A", receiverName: "B" };
        socket.send(`42${confirmed}${JSON.stringify(["sendMessage", message])}`);
      };
      socket.on("message", (data) => {
        const text = data.toString();
        if (!text.startsWith("43")) return;
        assert.equal(JSON.parse(text.slice(text.indexOf("[")))[0].seq, confirmed + 1, "a hole or a double");
        delays.push(performance.now() - since);
        confirmed += 1;
        if (confirmed < MESSAGES_PER_PAIR) send();
        else resolve();
      });
      send();
    });
  await Promise.all(pairs.map(sendAll));
  delays.sort((left, right) => left - right);
  const at = (part) => delays[Math.floor(delays.length * part)].toFixed(1);
  console.log(`durable messages: confirmed after ${at(0.5)} ms (median), ${at(0.99)} ms (p99)`);
  return delays.length;
}

const since = performance.now();
const node = start();
const ended = new Promise((resolve) => node.on("exit", (code) => resolve(code)));
try {
  while (!(await fetch(`http://127.0.0.1:${port}/readyz`).then(({ ok }) => ok, () => false))) await turn();
  console.log(`ready after ${Math.round(performance.now() - since)} ms`);

  const sockets = [];
  const before = readMemoryKiB(node.pid);
  await measure("connects with a verified token", node.pid, async () => {
    while (sockets.length < SOCKETS) {
      const next = Array.from({ length: 50 }, (_, index) => connect(userOf(sockets.length + index)));
      sockets.push(...(await Promise.all(next)));
    }
    return SOCKETS;
  });
  console.log(`idle sockets: ${((readMemoryKiB(node.pid) - before) / SOCKETS).toFixed(1)} KiB resident each, of ${SOCKETS}`);

  await Promise.all(
    pairs.flatMap((pair) =>
      [2 * pair, 2 * pair + 1].map((index) => {
        const joined = new Promise((resolve) => sockets[index].once("message", resolve));
        sockets[index].send(`42${JSON.stringify(["joinChat", { chatboxId: chatOf(pair) }])}`);
        return joined;
      }),
    ),
  );
  await measure("relayed typing events", node.pid, () => relayTyping(sockets));
  await measure("durable messages", node.pid, () => sendMessages(sockets));
} finally {
  node.kill("SIGTERM");
  const code = await ended;
  rmSync(dataDir, { recursive: true, force: true });
  assert.equal(code, 0, "the node did not end well");
  process.exit();
}
