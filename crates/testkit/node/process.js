// Starts a built binary on a free loopback port, waits until it answers, and ends it by its process id.

import { spawn } from "node:child_process";
import { once } from "node:events";
import { createServer } from "node:net";
import { fileURLToPath } from "node:url";

/**
 * How long a test waits for what must come, in milliseconds. It ends a hang and judges nothing: a busy machine is slow, and a time
 * that is promised is judged where it can be told from that.
 */
export const PATIENCE = 60_000;

const TARGET = new URL("../../../target/debug/", import.meta.url);

/** The path of a built binary; an environment variable may name another build. */
export function binary(name, variable) {
  return process.env[variable] ?? fileURLToPath(new URL(name, TARGET));
}

/** Listens on a loopback port; nothing where somebody else does. */
async function listenOn(port) {
  const server = createServer((socket) => socket.destroy()).listen(port, "127.0.0.1");
  return once(server, "listening").then(() => server, () => undefined);
}

/** Ports below those that the kernel gives to clients, in blocks. */
const PORTS = { first: 10_000, blocks: 44, size: 500 };
let block;
let given = 0;

/** The first port of a block that is this process's own: it listens on that one to its end. */
async function takeBlock() {
  for (;;) {
    const first = PORTS.first + Math.floor(Math.random() * PORTS.blocks) * PORTS.size;
    const holder = await listenOn(first);
    if (holder === undefined) continue;
    holder.unref();
    return first;
  }
}

/**
 * A loopback port that nobody listens on. Neither the kernel nor another process of the tests gives it to anybody: it stays free for
 * a start, and for a restart.
 */
export async function freePort() {
  const first = await (block ??= takeBlock());
  for (;;) {
    given = (given % (PORTS.size - 1)) + 1;
    const port = first + given;
    const server = await listenOn(port);
    if (server === undefined) continue;
    server.close();
    await once(server, "close");
    return port;
  }
}

/** Resolves with `value()` once that is neither `undefined` nor `false`; for facts that no event announces. */
export async function eventually(value, { within = PATIENCE, every = 15, what = "the expected state" } = {}) {
  const deadline = performance.now() + within;
  for (;;) {
    const found = await value();
    if (found !== undefined && found !== false) return found;
    if (performance.now() > deadline) throw new Error(`${what} did not come within ${within} ms`);
    await new Promise((resolve) => setTimeout(resolve, every));
  }
}

// A test that fails may leave open what keeps its file from ending, and then nobody is told that it failed.
if (process.env.NODE_TEST_CONTEXT !== undefined) {
  const { after } = await import("node:test");
  after(() => void setTimeout(() => process.exit(), PATIENCE).unref());
}

/** What runs now. A test process that ends early takes all of it along, also what is stopped by SIGSTOP. */
const running = new Set();
process.on("exit", () => {
  for (const child of running) child.kill("SIGKILL");
});
for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"]) process.on(signal, () => process.exit(1));

/** One running server process. */
export class ServerProcess {
  #child;
  #signals = new Set();
  output = "";

  constructor(path, args, env) {
    this.#child = spawn(path, args, { env, stdio: ["ignore", "pipe", "pipe"] });
    running.add(this.#child);
    for (const stream of [this.#child.stdout, this.#child.stderr]) {
      stream.setEncoding("utf8").on("data", (text) => (this.output += text));
    }
    /** `{ code, signal }`, or `{ error }` where the binary could not be started. */
    this.exited = new Promise((resolve) => {
      this.#child.on("error", (error) => resolve({ error }));
      this.#child.on("close", (code, signal) => resolve({ code, signal }));
    });
    this.exited.then((end) => {
      this.end = end;
      running.delete(this.#child);
    });
  }

  get pid() {
    return this.#child.pid;
  }

  /** Waits until `url` answers with `status`; fails at once where the process ends before. */
  async answers(url, status) {
    await eventually(
      async () => {
        if (this.end) throw new Error(`the server ended early: ${JSON.stringify(this.end)}\n${this.output}`);
        const response = await fetch(url).catch(() => undefined);
        await response?.arrayBuffer();
        return response?.status === status;
      },
      { what: `${status} from ${url}` },
    );
  }

  signal(name) {
    this.#signals.add(name);
    if (!this.end) this.#child.kill(name);
  }

  /**
   * Ends the process, or waits for its end where it was given this signal before: a second one would cut its end short.
   * One that ignores SIGTERM is killed in the end, and its end tells so by its signal.
   */
  async stop(name = "SIGTERM") {
    if (!this.#signals.has(name)) this.signal(name);
    const timer = setTimeout(() => this.signal("SIGKILL"), PATIENCE);
    const end = await this.exited;
    clearTimeout(timer);
    return end;
  }
}
