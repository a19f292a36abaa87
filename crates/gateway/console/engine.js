// Engine.IO v4: one session, opened by long-polling and moved to a WebSocket where that gets through.

const SEPARATOR = "\x1e";
const OPEN_TIMEOUT_MS = 20_000;
const PROBE_TIMEOUT_MS = 10_000;
/** The most packets of one POST; a node takes 1,000. */
const MOST_PACKETS = 100;

const PACKET = { open: "0", close: "1", ping: "2", pong: "3", message: "4", upgrade: "5", noop: "6" };

/**
 * `url` is that of the path, with its slash. `on` has what is called: `open()`, `message(text)`, `ping()`,
 * `upgrade()` and, once and last, `close(reason)`.
 */
export class Engine {
  #url;
  #on;
  #fetch;
  #WebSocket;
  #sid;
  #heartbeatMs = 0;
  #maxPayload = 1_000_000;
  #waiting = [];
  #socket;
  #probe;
  #polling;
  #posting = false;
  #paused = false;
  #heartbeat;
  #gone = new AbortController();

  /** `opening`, `open` or `closed`. */
  state = "opening";
  /** `polling` or `websocket`. */
  transport = "polling";

  constructor({ url, on, fetch, WebSocket }) {
    this.#url = url;
    this.#on = on;
    this.#fetch = fetch;
    this.#WebSocket = WebSocket;
    this.#open();
  }

  /** Sends a message, or keeps it until the transport takes it. */
  send(text) {
    this.#write(PACKET.message + text);
  }

  /** Ends the session and tells the node; `close` is not called. */
  close() {
    if (this.state === "closed") return;
    const isPolling = this.transport === "polling" && this.#sid !== undefined;
    const last = [...this.#waiting, PACKET.close];
    this.#end();
    // A page that goes away has nothing but this.
    if (isPolling) {
      const body = last.join(SEPARATOR);
      this.#fetch(this.#address(), { method: "POST", body, keepalive: body.length < 60_000 }).catch(() => {});
    }
  }

  #address(protocol) {
    const query = new URLSearchParams({ EIO: "4", transport: protocol ? "websocket" : "polling" });
    if (this.#sid !== undefined) query.set("sid", this.#sid);
    return `${protocol ? this.#url.replace(/^http/, "ws") : this.#url}?${query}`;
  }

  async #open() {
    const late = setTimeout(() => this.#fail("The node did not answer in time"), OPEN_TIMEOUT_MS);
    try {
      const [opening, ...packets] = await this.#get();
      if (opening?.[0] !== PACKET.open) throw new Error("No Engine.IO server");
      const { sid, upgrades, pingInterval, pingTimeout, maxPayload } = JSON.parse(opening.slice(1));
      this.#sid = sid;
      this.#heartbeatMs = pingInterval + pingTimeout;
      this.#maxPayload = maxPayload;
      this.state = "open";
      this.#expectPing();
      this.#on.open();
      for (const packet of packets) this.#receive(packet);
      if (upgrades.includes("websocket")) this.#upgrade();
      this.#poll();
    } catch (error) {
      this.#fail(error.message);
    } finally {
      clearTimeout(late);
    }
  }

  /** The packets of one poll. */
  async #get() {
    const response = await this.#fetch(this.#address(), { signal: this.#gone.signal, cache: "no-store" });
    const text = await response.text();
    if (!response.ok) throw new Error(refusal(text, response.status));
    return text.split(SEPARATOR);
  }

  async #poll() {
    while (this.state === "open" && !this.#paused) {
      this.#polling = this.#get();
      try {
        for (const packet of await this.#polling) this.#receive(packet);
      } catch (error) {
        this.#fail(error.message);
      }
      this.#polling = undefined;
      this.#finishUpgrade();
    }
  }

  #receive(packet) {
    if (this.state !== "open") return;
    switch (packet[0]) {
      case PACKET.message:
        this.#on.message(packet.slice(1));
        break;
      case PACKET.ping:
        this.#expectPing();
        this.#write(PACKET.pong);
        this.#on.ping();
        break;
      case PACKET.close:
        this.#fail("The node closed the connection");
        break;
      case PACKET.noop:
      // Binary data; nothing of it is for people.
      case "b":
        break;
      default:
        this.#fail("Not understood");
    }
  }

  #expectPing() {
    clearTimeout(this.#heartbeat);
    this.#heartbeat = setTimeout(() => this.#fail("The node fell silent"), this.#heartbeatMs);
  }

  #write(packet) {
    if (this.state === "closed") return;
    this.#waiting.push(packet);
    this.#flush();
  }

  #flush() {
    if (this.state !== "open" || this.#waiting.length === 0) return;
    if (this.transport === "websocket") {
      for (const packet of this.#waiting.splice(0)) this.#socket.send(packet);
    } else if (!this.#posting && !this.#paused) {
      this.#post(this.#batch());
    }
  }

  /** What fits into one POST, one packet at least. */
  #batch() {
    let count = 0;
    let size = 0;
    while (count < Math.min(this.#waiting.length, MOST_PACKETS)) {
      // No character is longer in UTF-8.
      size += this.#waiting[count].length * 3 + 1;
      if (count > 0 && size > this.#maxPayload) break;
      count += 1;
    }
    return this.#waiting.splice(0, count).join(SEPARATOR);
  }

  async #post(body) {
    this.#posting = true;
    try {
      const headers = { "content-type": "text/plain;charset=UTF-8" };
      const response = await this.#fetch(this.#address(), { method: "POST", body, headers, signal: this.#gone.signal });
      const text = await response.text();
      if (!response.ok) throw new Error(refusal(text, response.status));
    } catch (error) {
      this.#fail(error.message);
    }
    this.#posting = false;
    this.#finishUpgrade();
    this.#flush();
  }

  /** A WebSocket that does not come about is no harm: polling goes on. */
  #upgrade() {
    let probe;
    try {
      probe = new this.#WebSocket(this.#address("ws"));
    } catch {
      return;
    }
    const late = setTimeout(() => probe.close(), PROBE_TIMEOUT_MS);
    this.#probe = probe;
    probe.onopen = () => probe.send(`${PACKET.ping}probe`);
    probe.onmessage = ({ data }) => {
      if (data !== `${PACKET.pong}probe`) return probe.close();
      clearTimeout(late);
      // Nothing new is asked by polling; what is under way ends first.
      this.#paused = true;
      this.#finishUpgrade();
    };
    probe.onerror = () => {};
    probe.onclose = () => {
      clearTimeout(late);
      if (this.#probe !== probe) return;
      this.#probe = undefined;
      if (!this.#paused) return;
      this.#paused = false;
      if (!this.#polling) this.#poll();
      this.#flush();
    };
  }

  #finishUpgrade() {
    if (!this.#paused || this.#polling || this.#posting || this.transport === "websocket" || this.state !== "open") return;
    const socket = this.#probe;
    if (socket?.readyState !== 1) return;
    this.#socket = socket;
    this.#probe = undefined;
    socket.onmessage = ({ data }) => typeof data === "string" && this.#receive(data);
    socket.onclose = () => this.#fail("The connection was lost");
    socket.send(PACKET.upgrade);
    this.transport = "websocket";
    this.#on.upgrade();
    this.#flush();
  }

  #fail(reason) {
    if (this.state === "closed") return;
    this.#end();
    this.#on.close(reason);
  }

  #end() {
    this.state = "closed";
    clearTimeout(this.#heartbeat);
    this.#gone.abort();
    for (const socket of [this.#socket, this.#probe]) {
      if (!socket) continue;
      socket.onclose = null;
      socket.close();
    }
  }
}

/** What a node says of a request that it refuses. */
function refusal(text, status) {
  try {
    return JSON.parse(text).message ?? `Status ${status}`;
  } catch {
    return `Status ${status}`;
  }
}
