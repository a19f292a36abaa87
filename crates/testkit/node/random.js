// Seeded random values and packets: the same in every run.

/** Numbers in [0, 1) from a 32-bit seed (mulberry32). */
export function random(seed) {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

const CHARACTERS = ["a", "Z", "0", " ", '"', "\\", "/", "\n", "\u0000", "\u001e", "\u007f", "é", "\u2028", "€", "\ufffd", "😀"];

export class Generator {
  #next;
  #largest;

  /** Numbers stay below `largest` in magnitude. */
  constructor(seed, largest = Number.MAX_VALUE) {
    this.#next = random(seed);
    this.#largest = largest;
  }

  below(end) {
    return Math.floor(this.#next() * end);
  }

  pick(list) {
    return list[this.below(list.length)];
  }

  list(length, make) {
    return Array.from({ length: this.below(length + 1) }, make);
  }

  text(length = 12) {
    return this.list(this.pick([length, 3, 40]), () => this.pick(CHARACTERS)).join("");
  }

  number() {
    const size = this.pick([3, 8, 9, 16, 17, 32, 33, 52]);
    const whole = this.below(2 ** size) * this.pick([1, -1]);
    const number = this.pick([whole, whole, whole + 0.5, this.#next() * 10 ** (this.below(600) - 300), 1e21, 5e-7]);
    return Math.abs(number) < this.#largest ? number : whole;
  }

  binary() {
    return Buffer.from(this.list(this.pick([4, 40, 300]), () => this.below(256)));
  }

  value(depth = 4, withBinary = true) {
    const inner = () => this.value(depth - 1, withBinary);
    switch (this.below(depth > 0 ? 9 : 6)) {
      case 0:
        return null;
      case 1:
        return this.below(2) === 0;
      case 2:
      case 3:
        return this.number();
      case 4:
        return withBinary && this.below(3) === 0 ? this.binary() : this.text();
      case 5:
        return this.text();
      case 6:
        return this.list(this.pick([4, 18]), inner);
      default:
        // A letter first: JavaScript puts keys that are integers before others.
        return Object.fromEntries(this.list(this.pick([4, 18]), () => [`k${this.text(4)}`, inner()]));
    }
  }

  /** A packet that Carillon may send, with at most ten attachments. */
  packet() {
    const nsp = this.pick(["/", "/", "/chat", "/näme space"]);
    const object = () => Object.fromEntries(this.list(3, () => [`k${this.text(4)}`, this.value(2, false)]));
    const args = () => withFewBuffers(this.list(4, () => this.value()));
    const name = this.pick([this.text(), this.number()]);
    switch (this.below(10)) {
      case 0:
        return this.pick([{ type: 0, nsp }, { type: 0, data: object(), nsp }]);
      case 1:
        return { type: 1, nsp };
      case 2:
        return { type: 4, data: object(), nsp };
      case 3:
      case 4:
        return { id: this.below(2 ** 32), type: 3, data: args(), nsp };
      case 5:
      case 6:
        return { type: 2, data: [name, ...args()], id: this.below(300), nsp };
      default:
        return { type: 2, data: [name, ...args()], nsp };
    }
  }
}

/** `args`, or nothing where they hold more than ten Buffers. */
function withFewBuffers(args) {
  const count = (value) => {
    if (Buffer.isBuffer(value)) return 1;
    return value && typeof value === "object" ? Object.values(value).reduce((sum, item) => sum + count(item), 0) : 0;
  };
  return count(args) > 10 ? [] : args;
}
