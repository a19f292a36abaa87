// A real Node server with the Redis adapter: `node node-server.js <Redis URL> classic|sharded`, run as a child of the
// tests. It is asked by messages `{ id, name, args }` and answers `{ id, value }` or `{ id, error, responses }`.

import { createServer } from "node:http";
import { createAdapter, createShardedAdapter } from "@socket.io/redis-adapter";
import { createClient } from "redis";
import { Server } from "socket.io";

const [url, wire] = process.argv.slice(2);
const clients = [createClient({ url }), createClient({ url })];
for (const client of clients) client.on("error", () => {});
await Promise.all(clients.map((client) => client.connect()));

const http = createServer();
// The sharded adapter has no such option.
const adapter = wire === "sharded" ? createShardedAdapter(...clients) : createAdapter(...clients, { requestsTimeout: 30_000 });
const io = new Server(http, { adapter });
io.on("connection", (socket) => {
  socket.data.of = "a Node server";
  socket.join(socket.handshake.auth.rooms ?? []);
});
io.on("question", (value, answer) => answer(`Node answers ${value}`));
/** What other servers said to this one. */
const noted = [];
io.on("note", (...args) => void noted.push(args));

/** The sockets that are meant: `{ rooms, except, isVolatile, timeout }`. */
function among({ rooms = [], except = [], isVolatile = false, timeout }) {
  const all = io.to(rooms).except(except);
  const selected = isVolatile ? all.volatile : all;
  return timeout === undefined ? selected : selected.timeout(timeout);
}

const operations = {
  emit: (selection, ...event) => void among(selection).emit(...event),
  ask: (selection, ...event) => among(selection).emitWithAck(...event),
  join: (selection, rooms) => among(selection).socketsJoin(rooms),
  leave: (selection, rooms) => among(selection).socketsLeave(rooms),
  disconnect: (selection, close) => among(selection).disconnectSockets(close),
  fetch: async (selection) => {
    const sockets = await among(selection).fetchSockets();
    return sockets.map(({ id, handshake, rooms, data }) => ({ id, handshake, rooms: [...rooms], data }));
  },
  rooms: () => io.of("/").adapter.allRooms(),
  servers: () => io.of("/").adapter.serverCount(),
  emitServers: (...event) => void io.serverSideEmit(...event),
  askServers: (...event) => io.serverSideEmitWithAck(...event),
  noted: () => noted,
  /** Every subscription so far is confirmed: answers come in order. */
  subscribed: () => clients[1].ping(),
};

process.on("message", async ({ id, name, args }) => {
  try {
    process.send({ id, value: await operations[name](...args) });
  } catch (error) {
    process.send({ id, error: error.message, responses: error.responses });
  }
});
process.on("disconnect", () => process.exit());

http.listen(0, "127.0.0.1", () => process.send({ port: http.address().port }));
