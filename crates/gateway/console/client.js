// The user's side of everything: events and answers become state, what the user does becomes events.

import { Api } from "./api.js";
import { Chat, chatboxId } from "./chat.js";
import { History } from "./history.js";
import { Inbox } from "./inbox.js";
import { Observable } from "./observable.js";
import { Outbox } from "./outbox.js";
import { People } from "./people.js";
import { Typing } from "./typing.js";
import { Wire } from "./wire.js";

/** Chats whose events are followed while they are not open. */
const MOST_JOINED = 200;
const REFRESH_DELAY_MS = 300;

/**
 * Follow `connection`, `chats`, `people`, `inbox` and `outbox`. `onRefused(reason)` is called where the token is not
 * accepted, `onAlert(entry)` for a notification that is to be seen at once, `onMessage(chat, message)` for each
 * message that came in.
 */
export class Client {
  #wire;
  #api;
  #session;
  #on;
  #chats = new Map();
  #open;
  #isAttending = false;
  #history;
  #typing;
  #refresh;
  #confirmed = new Set();
  #isClosed = false;
  /** The connection that state was last brought up to date in. */
  #arrivedIn;

  constructor({ session, onRefused, onAlert, onMessage, wire = {} }) {
    this.#session = session;
    this.#on = { onRefused, onAlert, onMessage };
    this.me = session.user;
    this.#api = new Api(this.me, () => this.#session.token);
    this.#history = new History({
      api: this.#api,
      onChange: (chat) => this.#changed(chat),
      onError: (error) => this.#refusedBy(error),
    });
    this.#typing = new Typing((chat, isTyping) =>
      this.#wire.emit("typing", { chatboxId: chat.id, isTyping }).catch(() => {}),
    );
    this.connection = new Observable();
    this.chats = new Observable();
    /** How the list of chats stands: `loading`, `loaded` or `failed`. */
    this.listState = "loading";
    this.people = new People(this.me);
    this.inbox = new Inbox(this.#api);
    this.outbox = new Outbox({
      user: this.me,
      storage: sessionStorage,
      send: ({ clientMessageId, receiverId, message, senderName, receiverName }) =>
        this.#wire.emit("sendMessage", { clientMessageId, receiverId, message, senderName, receiverName }),
      onSent: (entry, confirmation) => this.#sent(entry, confirmation),
    });
    this.#wire = new Wire({
      url: new URL("/socket.io/", location.href).href,
      auth: () => ({ token: this.#session.token }),
      // The room of the chat with oneself: a question that changes nothing for anybody.
      probe: () => ["joinChat", { chatboxId: chatboxId(this.me, this.me) }],
      onEvent: (name, payload) => this.#event(name, payload ?? {}),
      onStatus: (status) => this.#status(status),
      fetch: (url, options) => fetch(url, options),
      WebSocket,
      ...wire,
    });
  }

  get name() {
    return this.#session.name;
  }

  get status() {
    return this.#wire.status;
  }

  get open() {
    return this.#open;
  }

  connect() {
    this.#wire.connect();
  }

  /** Leaves without signing out: for a page that is put aside. */
  disconnect() {
    this.#wire.disconnect();
  }

  close() {
    this.#isClosed = true;
    clearTimeout(this.#refresh);
    this.outbox.close();
    this.#wire.disconnect();
  }

  /** Takes a fresh token: on the live connection, or with the next one. */
  async renew(session) {
    this.#session = session;
    if (this.#wire.isConnected) await this.#wire.emit("refreshToken", { token: session.token });
    else this.#wire.connect();
  }

  /** The chats of the list, latest activity first; an open one is on it before its first message. */
  list() {
    const shown = [...this.#chats.values()].filter((chat) => chat.last || chat === this.#open || this.outbox.to(chat.other).length > 0);
    const time = (chat) => this.outbox.to(chat.other).at(-1)?.at ?? chat.last?.at ?? "9";
    return shown.sort((a, b) => (time(a) < time(b) ? 1 : time(a) > time(b) ? -1 : 0));
  }

  /** Whether somebody is known to be online now. */
  isOnline(user) {
    return this.#wire.isConnected && this.people.isOnline(user);
  }

  get unread() {
    let sum = 0;
    for (const { unread } of this.#chats.values()) sum += unread;
    return sum;
  }

  chat(other) {
    let chat = this.#chats.get(other);
    if (!chat) this.#chats.set(other, (chat = new Chat(this.me, other)));
    return chat;
  }

  /** Opens the chat with somebody; `undefined` closes the open one. */
  select(other) {
    this.typing(false);
    this.#open = other === undefined ? undefined : this.chat(other);
    this.#isAttending = false;
    this.chats.changed();
    if (this.#open && this.#open.state !== "loaded") this.load(this.#open);
  }

  /** Whether the user has the end of the open chat before their eyes: what comes is read then. */
  attend(isAttending) {
    this.#isAttending = isAttending;
    if (isAttending) this.#readOpen();
  }

  /** Loads the end of a chat's history, as soon as there is a connection. */
  async load(chat) {
    if (this.#wire.isConnected) await this.#history.load(chat, () => this.#join(chat));
  }

  /** Loads what is before the loaded part of a chat. */
  loadOlder(chat) {
    return this.#history.loadOlder(chat);
  }

  /** Sends a text to whom the open chat is with, now or as soon as there is a connection. */
  send(text) {
    const chat = this.#open;
    const message = text.trim();
    if (!chat || message === "") return;
    this.outbox.add({
      receiverId: chat.other,
      message,
      senderName: this.name,
      receiverName: chat.name,
      after: chat.state === "loaded" ? chat.newest : undefined,
    });
    this.#typing.sent();
    this.chats.changed();
  }

  /**
   * What is on the way in a chat and not among its messages yet. A message of this user's that is there without its
   * confirmation stands for the entry with its text.
   */
  pending(chat) {
    const entries = this.outbox.to(chat.other);
    if (entries.length === 0) return entries;
    const arrived = chat.messages.filter(({ mine, id }) => mine && !this.#confirmed.has(id));
    return entries.filter((entry) => {
      const index = arrived.findIndex(({ text, seq }) => text === entry.message && seq > (entry.after ?? Infinity));
      if (index < 0) return true;
      const [message] = arrived.splice(index, 1);
      message.key = entry.clientMessageId;
      return false;
    });
  }

  /** Tells the other one of the open chat that the user is, or is no longer, writing. */
  typing(isTyping) {
    if (this.#open) this.#typing.tell(this.#open, isTyping);
  }

  /** Asks for the list and the inbox again: other devices of this user may have changed them. */
  refresh() {
    if (!this.#wire.isConnected) return;
    this.#loadList();
    this.#loadInbox();
  }

  #status(status) {
    this.connection.changed();
    if (status.phase === "refused") this.#on.onRefused(status.reason);
    if (status.phase !== "connected") {
      for (const chat of this.#chats.values()) chat.isTyping = false;
      this.chats.changed();
    } else if (this.#arrivedIn !== status.session) {
      this.#arrivedIn = status.session;
      this.#arrive(status);
    }
  }

  /** After each connection: a recovered one has been given what it missed, a new one asks for it. */
  async #arrive({ recovered }) {
    const open = this.#open;
    if (!recovered) {
      for (const chat of this.#chats.values()) {
        chat.joined = undefined;
        if (chat !== open) chat.unload();
      }
    }
    try {
      if (open) await this.#join(open);
      // What was written offline goes first: its confirmation takes the place of what is shown as on the way.
      await this.outbox.flush();
      if (open?.state === "loaded") this.#history.catchUp(open, { again: !recovered });
      else if (open) this.load(open);
      if (recovered && this.listState === "loaded") return;
      await Promise.all([this.#loadPeople(), this.#loadList(), this.#loadInbox()]);
    } catch (error) {
      // With the next connection again.
      if (error.code !== "offline") console.warn(error);
    }
  }

  async #loadInbox() {
    await this.inbox.load();
    // It may tell of messages that were read before it came.
    if (this.#isAttending) this.#readOpen();
  }

  async #loadPeople() {
    this.people.replace(await this.#wire.emit("getOnlineUsers"));
    this.#joinAll();
  }

  async #loadList() {
    const versions = new Map([...this.#chats].map(([other, { version }]) => [other, version]));
    try {
      for (const told of await this.#api.chats()) {
        const chat = this.chat(told.otherUserId);
        // Its line changed since it was asked for.
        if (chat.marking > 0 || chat.version !== (versions.get(chat.other) ?? 0)) this.#refreshSoon();
        else chat.describe(told, this.name);
      }
      this.listState = "loaded";
    } catch (error) {
      if (this.listState !== "loaded") this.listState = "failed";
      this.#refusedBy(error);
    }
    this.chats.changed();
    this.#joinAll();
  }

  #refreshSoon() {
    clearTimeout(this.#refresh);
    this.#refresh = setTimeout(() => this.#wire.isConnected && this.#loadList(), REFRESH_DELAY_MS);
  }

  /** Resolves once the node has the chat joined in this session. */
  async #join(chat) {
    const joined = (chat.joined ??= this.#wire.emit("joinChat", { chatboxId: chat.id }));
    try {
      await joined;
    } catch (error) {
      if (chat.joined === joined) chat.joined = undefined;
      throw error;
    }
  }

  /** Follows the chats of the list and those with whoever is online, so that typing and other devices are seen. */
  #joinAll() {
    const others = [...this.list().map(({ other }) => other), ...this.people.online()];
    for (const other of others.slice(0, MOST_JOINED)) this.#join(this.chat(other)).catch(() => {});
  }

  #event(name, payload) {
    switch (name) {
      case "receiveMessage":
        return this.#received(payload);
      case "messageRead":
        return this.#read(payload);
      case "userTyping":
        return this.#isWriting(payload);
      case "userStatusChange":
        this.people.change(payload);
        if (payload.status === "online") this.#joinAll();
        return;
      case "notification":
        return this.#notified(payload);
    }
  }

  #received(given) {
    const chat = this.chat(given.senderId === this.me ? given.receiverId : given.senderId);
    const { isNew, isSure } = chat.note(given);
    if (!isSure) this.#refreshSoon();
    if (chat.state === "loaded") {
      if (chat.isBeyond(given.seq)) this.#history.catchUp(chat);
      else chat.insert([given]);
    }
    if (isNew && given.senderId !== this.me) this.#on.onMessage(chat, given);
    this.#changed(chat);
  }

  #changed(chat) {
    this.chats.changed();
    if (chat === this.#open && this.#isAttending) this.#readOpen();
  }

  /**
   * A chat's notification also comes where its room is not joined yet, and tells the same as `receiveMessage`: what was noted
   * is not noted twice.
   */
  #notified(given) {
    const entry = this.inbox.arrived(given);
    if (given.type === "chat" && given.messageId !== undefined && given.seq !== undefined) {
      const { fromUserId: senderId, fromUser: senderName } = given;
      this.#received({ ...given, senderId, senderName, receiverId: this.me });
      this.#join(this.chat(senderId)).catch(() => {});
    } else if (entry) {
      this.#on.onAlert(entry);
    }
  }

  #isWriting({ userId, isTyping }) {
    if (userId === this.me) return;
    this.#typing.heard(this.chat(userId), isTyping, () => this.chats.changed());
    this.chats.changed();
  }

  #read({ messageId, readBy }) {
    for (const chat of this.#chats.values()) {
      const message = chat.messages.find(({ id }) => id === messageId);
      if (!message) continue;
      if (!message.isRead && readBy === this.me) this.#countRead(chat, 1);
      message.isRead = true;
      this.chats.changed();
      return;
    }
    // Another device of this user's read something that is not loaded here.
    if (readBy === this.me) this.#refreshSoon();
  }

  #countRead(chat, count) {
    chat.version += 1;
    chat.unread = Math.max(0, chat.unread - count);
  }

  /** All of the open chat is read: the loaded messages one by one, so that their sender is told; older ones at once. */
  #readOpen() {
    const chat = this.#open;
    if (chat?.state !== "loaded" || !this.#wire.isConnected) return;
    const waiting = chat.messages.filter((message) => chat.isWaiting(message));
    const ids = new Set(chat.messages.filter(({ mine }) => !mine || chat.isSelf).map(({ id }) => id));
    if (waiting.length > 0) {
      for (const message of waiting) {
        message.isRead = true;
        const asked = this.#wire.emit("markMessageRead", { messageId: message.id, chatboxId: chat.id });
        this.#marking(chat, asked, () => (message.isRead = false));
      }
      this.#countRead(chat, waiting.length);
      this.chats.changed();
    }
    if (chat.unread > 0 && chat.hasOlder) {
      this.#countRead(chat, chat.unread);
      this.#marking(chat, this.#api.markChatRead(chat.id), (error) => this.#refusedBy(error));
      this.chats.changed();
    }
    this.inbox.readMessages(ids);
  }

  /** While a mark is under way the node's count of a chat may be from before it. */
  async #marking(chat, asked, onFailure) {
    chat.marking += 1;
    try {
      await asked;
    } catch (error) {
      onFailure(error);
      this.#refreshSoon();
    }
    chat.marking -= 1;
    chat.version += 1;
  }

  #sent(entry, { messageId, timestamp, seq }) {
    const chat = this.chat(entry.receiverId);
    this.#confirmed.add(messageId);
    const message = { ...entry, messageId, timestamp, seq };
    chat.note(message);
    if (chat.state === "loaded") {
      if (chat.isBeyond(seq)) this.#history.catchUp(chat);
      else chat.insert([message]);
      const shown = chat.messages.find(({ id }) => id === messageId);
      if (shown) shown.key = entry.clientMessageId;
    }
    this.chats.changed();
  }

  #refusedBy(error) {
    if (error.status === 401 && !this.#isClosed) this.#on.onRefused(error.message);
  }
}
