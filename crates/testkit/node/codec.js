// The Rust codecs as a child process: crates/protocol/examples/codec.rs, one JSON line per question and answer.
import { spawn } from "node:child_process";
import { createInterface } from "node:readline";

export class Codec {
  #process;
  #waiting = [];

  constructor(path = process.env.CARILLON_CODEC) {
    if (!path) throw new Error("CARILLON_CODEC names the built example `codec` of carillon-protocol");
    this.#process = spawn(path, { stdio: ["pipe", "pipe", "inherit"] });
    createInterface({ input: this.#process.stdout }).on("line", (line) => this.#waiting.shift().resolve(line));
    this.#process.on("exit", (code) => {
      for (const { reject } of this.#waiting) reject(new Error(`codec exited with ${code}`));
    });
  }

  /** Answers `{ok}` or `{error}`. Buffers travel in both directions. */
  async ask(command) {
    const line = await new Promise((resolve, reject) => {
      this.#waiting.push({ resolve, reject });
      this.#process.stdin.write(`${JSON.stringify(tagged(command))}\n`);
    });
    return untagged(JSON.parse(line));
  }

  close() {
    this.#process.stdin.end();
  }
}

const isBinary = (value) => value instanceof ArrayBuffer || ArrayBuffer.isView(value);

/** A copy in which binary is `{$binary: base64}`. */
export function tagged(value) {
  if (isBinary(value)) return { $binary: Buffer.from(value).toString("base64") };
  if (Array.isArray(value)) return value.map(tagged);
  return isPlain(value) ? mapValues(value, tagged) : value;
}

function untagged(value) {
  if (Array.isArray(value)) return value.map(untagged);
  if (!isPlain(value)) return value;
  return typeof value.$binary === "string" ? Buffer.from(value.$binary, "base64") : mapValues(value, untagged);
}

/** As JSON has it: no `undefined` keys, dates as text, no half surrogate pairs, no -0; binary as Buffers. */
export function normal(value) {
  return untagged(JSON.parse(JSON.stringify({ value: tagged(value) }, wellFormed))).value;
}

function wellFormed(_, value) {
  if (typeof value === "string") return value.toWellFormed();
  return isPlain(value) ? Object.fromEntries(Object.entries(value).map(([key, item]) => [key.toWellFormed(), item])) : value;
}

const isPlain = (value) => Object.prototype.toString.call(value) === "[object Object]";
const mapValues = (object, map) => Object.fromEntries(Object.entries(object).map(([key, value]) => [key, map(value)]));
