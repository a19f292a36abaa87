/**
 * The Socket.IO events of Carillon, for `socket.io-client` v4:
 *
 * ```ts
 * import { io, type Socket } from "socket.io-client";
 * import type { ClientToServerEvents, ServerToClientEvents } from "./events";
 *
 * const socket: Socket<ServerToClientEvents, ClientToServerEvents> = io(url, { auth: { token } });
 * ```
 *
 * Namespace `/`, path `/socket.io/`. Payloads may gain keys; none is ever lost or renamed. Every event takes an
 * acknowledgement, which answers it as well as the events below do: its answer, or {@link Refused}. A client that wants none
 * of them uses {@link ClientToServerEventsWithoutAcknowledgements}; in `ClientToServerEvents` they cannot be optional, as
 * `emitWithAck` would then lose their types.
 */

/** A point in time: ISO 8601 with milliseconds, in UTC (`2026-09-21T14:13:20.000Z`). */
export type Timestamp = string;

/** A user's id: any text of 1 to 128 UTF-16 code units without control characters. */
export type UserId = string;

/** The name of a chat: the ids of its two users, sorted by UTF-16 code units and joined by `_`. */
export type ChatboxId = string;

/** The id of a message or a notification: 24 hex digits. */
export type ObjectId = string;

/** Why something was refused, for programs. `rate_limited` and `unavailable` are worth a retry. */
export type ErrorCode =
  /** A value is wrong; the same request will fail again. */
  | "invalid"
  /** It is somebody else's. */
  | "forbidden"
  /** It is not there. */
  | "not_found"
  /** Too much at once. */
  | "rate_limited"
  /** A server behind the node does not answer. */
  | "unavailable"
  /** The token was good once; `refreshToken` alone says so. */
  | "token_expired"
  /** The node failed. */
  | "internal";

/** Why something was refused. */
export interface ErrorPayload {
  /** For people. */
  message: string;
  code: ErrorCode;
  /** What exactly was wrong; only where `NODE_ENV` is `development`. */
  details?: string;
  /** When a retry is worth it, in milliseconds; with `rate_limited` and `unavailable`. */
  retryAfterMs?: number;
}

/** An acknowledgement that refuses. */
export interface Refused {
  error: ErrorPayload;
}

/** The arguments of a callback that is given an answer or a refusal. */
export type Acknowledge<Answer> = (answer: Answer | Refused) => void;

/** The `auth` of the handshake. */
export interface HandshakeAuth {
  /** A JSON Web Token; it may also come as an `Authorization: Bearer` header, never in the URL. */
  token: string;
  /** Where it is given it must be the user that the token names. */
  userId?: UserId;
}

/** The `data` of a `connect_error` whose message is `Too many connections`. */
export interface ConnectErrorData {
  code: "rate_limited";
  /** When a retry is worth it, in milliseconds. */
  retryAfterMs: number;
}

/** A chat, by its name. */
export interface ChatReference {
  chatboxId: ChatboxId;
}

/** What `sendMessage` takes. */
export interface OutgoingMessage {
  receiverId: UserId | number;
  /** Trimmed; then 1 to 1,000 UTF-16 code units. */
  message: string;
  /** The sender's name as the receiver is shown it; at most 256 UTF-16 code units. */
  senderName: string;
  /** The receiver's name; at most 256 UTF-16 code units. */
  receiverName: string;
  /** The sender's own id for it, 1 to 64 characters: a resend under the same id is the same message. */
  clientMessageId?: string;
}

/** A message by its id, and its chat. */
export interface MessageReference {
  messageId: ObjectId;
  chatboxId: ChatboxId;
}

/** What `typing` takes. */
export interface TypingSignal {
  chatboxId: ChatboxId;
  isTyping: boolean;
}

/** A socket joined or left the room of a chat. */
export interface ChatMoved {
  chatboxId: ChatboxId;
  timestamp: Timestamp;
}

/** The message is stored; it will not be lost. */
export interface MessageSent {
  messageId: ObjectId;
  timestamp: Timestamp;
  chatboxId: ChatboxId;
  /** Its number in the chat: 1, 2, 3 … without a hole. */
  seq: number;
}

/** A message, to everyone in the room of its chat, the sender's own sockets among them. */
export interface ReceivedMessage {
  messageId: ObjectId;
  senderId: UserId;
  receiverId: UserId;
  senderName: string;
  receiverName: string;
  message: string;
  timestamp: Timestamp;
  chatboxId: ChatboxId;
  /** Its number in the chat: 1, 2, 3 … without a hole. */
  seq: number;
}

/** A message was read by its receiver, to the others in the room. */
export interface MessageRead {
  messageId: ObjectId;
  readBy: UserId;
  timestamp: Timestamp;
}

/** Somebody types or has stopped, to the others in the room. */
export interface UserTyping {
  userId: UserId;
  isTyping: boolean;
  timestamp: Timestamp;
}

/** Somebody's first connection came, or the last one has gone. */
export interface UserStatusChange {
  userId: UserId;
  status: "online" | "offline";
  timestamp: Timestamp;
}

/** Somebody who is online. */
export interface OnlineUser {
  userId: UserId;
  /** The time of the latest connection. */
  lastSeen: Timestamp;
}

/** A notification of a chat message. It has no `notifId`. */
export interface MessageNotification {
  type: "chat";
  /** The sender's name. */
  fromUser: string;
  fromUserId: UserId;
  /** The message's text. */
  message: string;
  chatboxId: ChatboxId;
  timestamp: Timestamp;
  messageId: ObjectId;
  /** The number of the message in its chat. */
  seq: number;
  /** The id of the stored notification. */
  _id: ObjectId;
}

/** A notification that was created over REST. */
export interface CreatedNotification {
  type: "chat" | "system" | "alert";
  fromUser: UserId;
  fromUserId: UserId;
  message: string;
  chatboxId: ChatboxId;
  timestamp: Timestamp;
  notifId: ObjectId;
  metadata: NotificationMetadata;
  /** The same as `notifId`. */
  _id: ObjectId;
}

/** What else belongs to a notification. */
export interface NotificationMetadata {
  /** The message that it is about. */
  messageId?: string;
  /** The start of that message. */
  messagePreview?: string;
  priority: "low" | "medium" | "high";
}

/** Until when the connection's token is good now; `null` where it does not expire. */
export interface TokenRefreshed {
  expiresAt: Timestamp | null;
}

/** What a client is sent. */
export interface ServerToClientEvents {
  /** Answers `joinChat`. */
  chatJoined: (payload: ChatMoved) => void;
  /** Answers `leaveChat`. */
  chatLeft: (payload: ChatMoved) => void;
  /** Answers `sendMessage`, once the message and its notification are durable. */
  messageSent: (payload: MessageSent) => void;
  /** A message, in the order of `seq`. */
  receiveMessage: (payload: ReceivedMessage) => void;
  /** A message was read. */
  messageRead: (payload: MessageRead) => void;
  /** Somebody types. */
  userTyping: (payload: UserTyping) => void;
  /** Somebody came or went. */
  userStatusChange: (payload: UserStatusChange) => void;
  /** Answers `getOnlineUsers`. */
  onlineUsers: (payload: OnlineUser[]) => void;
  /** A notification, to all sockets of its user. */
  notification: (payload: MessageNotification | CreatedNotification) => void;
  /** Something that this socket asked for was refused. */
  error: (payload: ErrorPayload) => void;
}

/** What a client may send. */
export interface ClientToServerEvents {
  /** Joins the room of a chat, which needs no creating; answered by `chatJoined`. */
  joinChat: (payload: ChatReference, acknowledge: Acknowledge<ChatMoved>) => void;
  /** Leaves it, also where it was never joined; answered by `chatLeft`. */
  leaveChat: (payload: ChatReference, acknowledge: Acknowledge<ChatMoved>) => void;
  /** Sends a message; answered by `messageSent`. */
  sendMessage: (payload: OutgoingMessage, acknowledge: Acknowledge<MessageSent>) => void;
  /** Marks that message alone as read; the others in the room get `messageRead`. */
  markMessageRead: (payload: MessageReference, acknowledge: Acknowledge<MessageRead>) => void;
  /** Tells the others in the room; a bad payload is refused by the acknowledgement alone. */
  typing: (payload: TypingSignal, acknowledge: Acknowledge<Record<string, never>>) => void;
  /** Asks who is online; answered by `onlineUsers`. */
  getOnlineUsers: (acknowledge: Acknowledge<OnlineUser[]>) => void;
  /** Renews the token of the live connection. */
  refreshToken: (payload: { token: string }, acknowledge: Acknowledge<TokenRefreshed>) => void;
}

/** The same without acknowledgements, for `socket.emit("joinChat", { chatboxId })`. */
export type ClientToServerEventsWithoutAcknowledgements = {
  [Event in keyof ClientToServerEvents]: ClientToServerEvents[Event] extends (...args: [...infer Args, infer _Acknowledge]) => void
    ? (...args: Args) => void
    : never;
};
