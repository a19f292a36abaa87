// `joinChat` and `typing` → `userTyping` on Node's socket.io: what the benchmarks of relayed events ask of a server. Its
// packages are those of the tests. Usage: `node node-server.mjs PORT [REDIS_URL]`; with Redis by @socket.io/redis-adapter.
import { createRequire } from "node:module";

const require = createRequire(new URL("../../crates/testkit/node/", import.meta.url));
const { Server } = require("socket.io");
const { createAdapter } = require("@socket.io/redis-adapter");
const { createClient } = require("redis");

const [port, url] = process.argv.slice(2);

async function redisAdapter() {
  const publisher = createClient({ url });
  const subscriber = publisher.duplicate();
  await Promise.all([publisher.connect(), subscriber.connect()]);
  return createAdapter(publisher, subscriber);
}

const adapter = url ? await redisAdapter() : undefined;
const io = new Server({ transports: ["websocket"], ...(adapter && { adapter }) });
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
io.listen(Number(port));
