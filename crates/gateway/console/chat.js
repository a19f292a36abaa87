// One chat: the part of its history that is loaded, and what its line in the list shows.

/** The id of the chat of two users: sorted by UTF-16 code units, as `sort` does. */
export const chatboxId = (one, other) => [one, other].sort().join("_");

/** A message as the views show it, from an event or from the history. */
function messageOf(given, me) {
  const id = given.messageId ?? given._id;
  return {
    key: id,
    id,
    seq: given.seq,
    mine: given.senderId === me,
    name: given.senderName,
    text: given.message,
    at: given.timestamp,
    isRead: given.read === true,
    isEdited: given.edited === true,
  };
}

export class Chat {
  #me;
  /** The highest `seq` that was noted. */
  #noted = 0;
  /** The time of the last message that the node's count of unread ones has in it. */
  #countedAt = "";

  constructor(me, other) {
    this.#me = me;
    this.id = chatboxId(me, other);
    this.other = other;
    this.name = other;
    /** Loaded messages along `seq`, without a hole. */
    this.messages = [];
    /** `new`, `loading`, `loaded` or `failed`. */
    this.state = "new";
    this.hasOlder = false;
    this.isLoadingOlder = false;
    this.unread = 0;
    /** `{ text, at, mine }`, or nothing. */
    this.last = undefined;
    /** The highest `seq` that is known of. */
    this.newest = 0;
    this.isTyping = false;
    /** Resolves once the node has it joined; nothing where that was not asked for. */
    this.joined = undefined;
    /** Counts what changes the line in the list, so that an answer from before a change is known to be stale. */
    this.version = 0;
    /** Read marks that are not confirmed yet. */
    this.marking = 0;
  }

  get isSelf() {
    return this.other === this.#me;
  }

  /** Whether a message is for this user to mark as read. */
  isWaiting(message) {
    return !message.mine && !message.isRead;
  }

  /** The line in the list as the node tells it. */
  describe({ lastMessage, unreadCount }, myName) {
    this.unread = unreadCount;
    this.#countedAt = lastMessage?.timestamp ?? "";
    if (lastMessage) {
      const { message, timestamp, senderName } = lastMessage;
      this.last = { text: message, at: timestamp, mine: senderName === myName };
    }
  }

  /**
   * Takes note of a message that came live, from its event or its notification: whether it is a new one, and whether it is
   * sure to be counted once. The node's own count may have it already; only their times tell.
   */
  note({ seq, message, timestamp, senderId, senderName }) {
    if (seq <= this.#noted) return { isNew: false, isSure: true };
    this.version += 1;
    this.#noted = seq;
    this.newest = Math.max(this.newest, seq);
    const mine = senderId === this.#me;
    if (!this.last || timestamp >= this.last.at) this.last = { text: message, at: timestamp, mine };
    if (!mine) {
      if (timestamp > this.#countedAt) this.unread += 1;
      this.name = senderName ?? this.name;
      this.isTyping = false;
    }
    return { isNew: true, isSure: timestamp !== this.#countedAt };
  }

  /** Whether the message with this number would leave a hole behind the loaded ones. */
  isBeyond(seq) {
    return seq > (this.messages.at(-1)?.seq ?? 0) + 1;
  }

  /** Adds messages that follow each other and the loaded ones, or come right before them; those known are updated. */
  insert(given) {
    const known = new Map(this.messages.map((message) => [message.seq, message]));
    for (const one of given) {
      const message = messageOf(one, this.#me);
      const before = known.get(message.seq);
      if (before) Object.assign(before, { isRead: before.isRead || message.isRead, isEdited: message.isEdited });
      else known.set(message.seq, message);
      this.newest = Math.max(this.newest, message.seq);
      const name = message.mine ? one.receiverName : one.senderName;
      if (name && !this.isSelf) this.name = name;
    }
    this.messages = [...known.values()].sort((a, b) => a.seq - b.seq);
    const last = this.messages.at(-1);
    if (last && last.seq === this.newest) this.last = { text: last.text, at: last.at, mine: last.mine };
  }

  /** Forgets the history, not the line in the list. */
  unload() {
    this.messages = [];
    this.state = "new";
    this.hasOlder = false;
    this.newest = 0;
  }
}
