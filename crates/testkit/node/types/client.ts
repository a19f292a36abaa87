// A typed client: what docs/api/events.d.ts lets it write, and what not. It is compiled, never run.

import { io, type Socket } from "socket.io-client";
import type {
  ClientToServerEvents,
  ClientToServerEventsWithoutAcknowledgements,
  ErrorCode,
  HandshakeAuth,
  ServerToClientEvents,
} from "../../../../docs/api/events.js";

const auth: HandshakeAuth = { token: "a token" };
const socket: Socket<ServerToClientEvents, ClientToServerEvents> = io("http://127.0.0.1:4000", { auth: { ...auth } });

/** What comes is known by its event's name. */
export function listen(): void {
  socket.on("receiveMessage", ({ seq, message, chatboxId }) => {
    const number: number = seq;
    const texts: string[] = [message, chatboxId];
    use(number, texts);
    // @ts-expect-error a `seq` is no text
    const text: string = seq;
    use(text);
  });
  socket.on("notification", (notification) => {
    if ("notifId" in notification) {
      const priority: "low" | "medium" | "high" = notification.metadata.priority;
      use(priority);
      // @ts-expect-error what was created over REST has no number
      use(notification.seq);
    } else {
      const type: "chat" = notification.type;
      use(type, notification.seq);
    }
  });
  socket.on("userStatusChange", ({ status }) => {
    // @ts-expect-error there is no such status
    if (status === "away") use(status);
  });
  socket.on("onlineUsers", (users) => use(users.map(({ userId, lastSeen }) => [userId, lastSeen])));
  socket.on("error", ({ code, retryAfterMs }) => {
    const wait: number | undefined = retryAfterMs;
    if (code === "rate_limited") use(wait);
    // @ts-expect-error there is no such code
    if (code === "teapot") use(wait);
  });
  // @ts-expect-error there is no such event
  socket.on("messageDelivered", () => {});
}

/** What is sent is checked, and its acknowledgement is an answer or a refusal. */
export async function speak(): Promise<void> {
  const message = { receiverId: "bob", message: "Hello!", senderName: "Alice", receiverName: "Bob" };
  const sent = await socket.emitWithAck("sendMessage", { ...message, clientMessageId: "1" });
  // @ts-expect-error it may have been refused
  use(sent.seq);
  if ("error" in sent) {
    const code: ErrorCode = sent.error.code;
    use(code);
  } else {
    const number: number = sent.seq;
    use(number);
  }
  const online = await socket.emitWithAck("getOnlineUsers");
  if (!("error" in online)) use(online.map(({ userId }) => userId));
  socket.timeout(5_000).emit("getOnlineUsers", (late, answer) => {
    if (late) return use(late.message);
    return use("error" in answer ? answer.error.code : answer.length);
  });
  const renewed = await socket.emitWithAck("refreshToken", { token: "another" });
  if (!("error" in renewed)) use(renewed.expiresAt?.length);
  socket.emit("joinChat", { chatboxId: "alice_bob" }, (answer) => use("error" in answer ? answer.error.message : answer.timestamp));
  socket.emit("typing", { chatboxId: "alice_bob", isTyping: true }, () => {});

  // @ts-expect-error a name is missing
  await socket.emitWithAck("sendMessage", { receiverId: "bob", message: "Hello!", senderName: "Alice" });
  // @ts-expect-error only a boolean is passed on
  await socket.emitWithAck("typing", { chatboxId: "alice_bob", isTyping: "yes" });
  // @ts-expect-error there is no such event
  await socket.emitWithAck("deleteMessage", { messageId: "1" });
  // @ts-expect-error it has no payload
  await socket.emitWithAck("getOnlineUsers", { chatboxId: "alice_bob" });
}

/** A client that goes by the events alone. */
export function speakWithoutAcknowledgements(): void {
  const plain: Socket<ServerToClientEvents, ClientToServerEventsWithoutAcknowledgements> = io("http://127.0.0.1:4000");
  plain.emit("joinChat", { chatboxId: "alice_bob" });
  plain.emit("getOnlineUsers");
  // @ts-expect-error the chat is missing
  plain.emit("joinChat");
}

function use(..._values: unknown[]): void {}
