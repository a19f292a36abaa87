// `joinChat` and `typing` → `userTyping` on Node's socket.io with @socket.io/redis-adapter: what the benchmark of relayed
// events asks of a server. Its packages are those of the tests. Usage: `node node-server.mjs PORT REDIS_URL`.
import { createRequire } from "node:module";

const require = createRequire(new URL("../../crates/testkit/node/", import.meta.url));
const { Server } = require("socket.io");
const { createAdapter } = require("@socket.io/redis-adapter");
const { createClient } = require("redis");

const [port, url] = process.argv.slice(2);
const publisher = createClient({ url });
const subscriber = publisher.duplicate();
await Promise.all([publisher.connect(), subscriber.connect()]);

const io = new Server(Number(port), { adapter: createAdapter(publisher, subscriber), transports: ["websocket"] });
io.on("connection", (socket) => {
  socket.on("joinChat", ({ chatboxId }) => {
    socket.join(`chat_${chatboxId}`);
    socket.emit("chatJoined", { chatboxId });
  });
  socket.on("typing", ({ chatboxId, isTyping }) => {
    const shown = { userId: "somebody", isTyping, timestamp: "2026-01-01T00:00:00.000Z" };
    socket.to(`chat_${chatboxId}`).emit("userTyping", shown);
  });
});
