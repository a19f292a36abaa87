// A smoke test with k6: one handshake by hand over a raw WebSocket for each of two users, a chat, messages both ways,
// the history over REST. No load; `make k6` runs it against a running node.

import encoding from "k6/encoding";
import exec from "k6/execution";
import crypto from "k6/crypto";
import http from "k6/http";
import { check } from "k6";
import { Counter, Trend } from "k6/metrics";
import { WebSocket } from "k6/experimental/websockets";

const URL = __ENV.URL || "http://127.0.0.1:4000";
const MESSAGES = 20;
const GIVE_UP_MS = 10_000;

const delivered = new Counter("messages_delivered");
const delay = new Trend("message_delay", true);

export const options = {
  vus: 1,
  iterations: 1,
  thresholds: { checks: ["rate==1"], messages_delivered: [`count==${MESSAGES}`] },
};

/** Minted with the node's secret where it is given, else by a node in development mode. */
function token(userId) {
  if (!__ENV.JWT_SECRET) {
    const body = JSON.stringify({ userId });
    return http.post(`${URL}/dev/token`, body, { headers: { "content-type": "application/json" } }).json("token");
  }
  const part = (value) => encoding.b64encode(JSON.stringify(value), "rawurl");
  const signed = `${part({ alg: "HS256", typ: "JWT" })}.${part({ userId })}`;
  return `${signed}.${crypto.hmac("sha256", __ENV.JWT_SECRET, signed, "base64rawurl")}`;
}

/**
 * A Socket.IO client in a few lines. `events` maps names to handlers; `connected` is called once the node has let it in.
 * It gives up after ten seconds.
 */
function connect(userId, jwt, connected, events) {
  const socket = new WebSocket(`${URL.replace(/^http/, "ws")}/socket.io/?EIO=4&transport=websocket`);
  const client = {
    emit: (event, payload) => socket.send(`42${JSON.stringify([event, payload])}`),
    close: () => {
      clearTimeout(timer);
      socket.close();
    },
  };
  const timer = setTimeout(() => {
    check(userId, { "everything came in time": () => false });
    socket.close();
  }, GIVE_UP_MS);
  socket.onerror = ({ error }) => exec.test.abort(`the WebSocket of ${userId} failed: ${error}`);
  socket.onmessage = ({ data }) => {
    if (data === "2") {
      socket.send("3");
    } else if (data[0] === "0") {
      check(JSON.parse(data.slice(1)), { "the handshake names a session": ({ sid }) => sid.length >= 20 });
      socket.send(`40${JSON.stringify({ token: jwt, userId })}`);
    } else if (data.startsWith("40")) {
      connected(client);
    } else if (data.startsWith("44")) {
      exec.test.abort(`${userId} was refused: ${data}`);
    } else if (data.startsWith("42")) {
      const [event, payload] = JSON.parse(data.slice(2));
      if (events[event]) events[event](payload, client);
    }
  };
}

export default function () {
  const run = `${Date.now()}`;
  const [alice, bob] = [`alice-${run}`, `bob-${run}`];
  const chatboxId = [alice, bob].sort().join("_");
  const tokens = { [alice]: token(alice), [bob]: token(bob) };
  const sent = {};
  let confirmed = 0;

  function write(client) {
    for (let i = 1; i <= MESSAGES; i += 1) {
      const message = `message ${i} of ${run}`;
      sent[message] = Date.now();
      client.emit("sendMessage", { receiverId: bob, message, senderName: "Alice", receiverName: "Bob" });
    }
  }

  function readHistory() {
    const response = http.get(`${URL}/api/chat/messages/${chatboxId}?limit=100`, {
      headers: { authorization: `Bearer ${tokens[alice]}` },
    });
    check(response, {
      "the history answers 200": ({ status }) => status === 200,
      "the history holds every message, newest first": (answer) => {
        const seqs = answer.json("messages").map(({ seq }) => seq);
        return seqs.length === MESSAGES && seqs.every((seq, index) => seq === MESSAGES - index);
      },
    });
  }

  const received = [];
  const joinOnly = (client) => client.emit("joinChat", { chatboxId });
  connect(bob, tokens[bob], joinOnly, {
    chatJoined: () =>
      connect(alice, tokens[alice], write, {
        error: (problem) => exec.test.abort(`sending failed: ${JSON.stringify(problem)}`),
        messageSent: (_, client) => {
          confirmed += 1;
          if (confirmed < MESSAGES) return;
          client.close();
          readHistory();
        },
      }),
    receiveMessage: (message, client) => {
      delivered.add(1);
      delay.add(Date.now() - sent[message.message]);
      received.push(message.seq);
      if (received.length < MESSAGES) return;
      check(received, { "messages come in order": (seqs) => seqs.every((seq, index) => seq === index + 1) });
      client.close();
    },
  });
}
