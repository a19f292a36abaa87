// The notifications that wait, and the counts over all of them.

import { Observable } from "./observable.js";

/** As many as the node tells of. */
const MOST_ENTRIES = 1_000;
/** How often list and counts are asked for until they are of one moment. */
const MOST_TRIES = 10;

/** A notification as the views show it, live or from the inbox. */
function entryOf(given) {
  const isLiveChat = given.type === "chat" && given.notifId === undefined && given.createdAt === undefined;
  return {
    id: given._id,
    chatboxId: given.chatboxId,
    kind: given.type,
    from: given.fromUser,
    fromId: given.fromUserId,
    text: isLiveChat ? `New message from ${given.fromUser}: ${given.message}` : given.message,
    at: given.createdAt ?? given.timestamp,
    messageId: given.messageId ?? given.metadata?.messageId,
    priority: given.metadata?.priority ?? "medium",
  };
}

export class Inbox extends Observable {
  #api;
  #entries = new Map();
  /** Counts what came and went, so that a list from before is known to be stale. */
  #version = 0;

  constructor(api) {
    super();
    this.#api = api;
    /** `loading`, `loaded` or `failed`. */
    this.state = "loading";
    /** `{ total, unread, chats }`. */
    this.statistics = { total: 0, unread: 0, chats: 0 };
  }

  /** The unread ones, newest first. */
  get entries() {
    return [...this.#entries.values()].sort((a, b) => (a.at < b.at ? 1 : a.at > b.at ? -1 : 0));
  }

  /** Asks the node for all of it. */
  async load(tries = MOST_TRIES) {
    const version = this.#version;
    try {
      const [notifications, stats] = await Promise.all([this.#api.notifications(), this.#api.statistics()]);
      // What changed meanwhile may be in neither, one or both; its event may have come already, or be still to come.
      const isTorn = notifications.length < MOST_ENTRIES && notifications.length !== stats.unreadCount;
      if (version !== this.#version || (isTorn && tries > 1)) return this.load(tries - 1);
      this.#entries = new Map(notifications.map(entryOf).map((entry) => [entry.id, entry]));
      this.statistics = { total: stats.totalNotifications, unread: stats.unreadCount, chats: stats.activeChatboxes };
      this.state = "loaded";
    } catch {
      this.state = "failed";
    }
    this.changed();
  }

  /** A live `notification`; whether it is a new one. */
  arrived(given) {
    const entry = entryOf(given);
    if (entry.id === undefined || this.#entries.has(entry.id)) return undefined;
    this.#version += 1;
    this.#entries.set(entry.id, entry);
    if (this.#entries.size > MOST_ENTRIES) this.#entries.delete(this.#entries.keys().next().value);
    this.statistics.total += 1;
    this.statistics.unread += 1;
    this.changed();
    return entry;
  }

  markRead(entry) {
    return this.#settle(entry, () => this.#api.markNotificationRead(entry.chatboxId, entry.id), 0);
  }

  delete(entry) {
    return this.#settle(entry, () => this.#api.deleteNotification(entry.chatboxId, entry.id), 1);
  }

  /** Marks those about messages as read that were read themselves. */
  async readMessages(ids) {
    const read = this.entries.filter(({ kind, messageId }) => kind === "chat" && ids.has(messageId));
    for (const entry of read) await this.markRead(entry).catch(() => {});
  }

  async markAllRead() {
    const chats = new Set(this.entries.map(({ chatboxId }) => chatboxId));
    try {
      for (const chat of chats) await this.#api.markNotificationsRead(chat);
    } finally {
      await this.load();
    }
  }

  /** Takes an entry out at once, and puts it back where the node refuses. One that is gone there is gone. */
  async #settle(entry, ask, deleted) {
    if (!this.#entries.delete(entry.id)) return;
    this.#count(-1, -deleted);
    try {
      await ask();
      this.#version += 1;
    } catch (error) {
      if (error.status === 404) return;
      this.#entries.set(entry.id, entry);
      this.#count(1, deleted);
      throw error;
    }
  }

  #count(unread, total) {
    this.#version += 1;
    this.statistics.unread = Math.max(0, this.statistics.unread + unread);
    this.statistics.total = Math.max(0, this.statistics.total + total);
    this.changed();
  }
}
