// Loads the messages of chats: the end first, then what is before it or came after it.

const PAGE = 50;
const LARGEST_PAGE = 100;
/** Beyond so many missed messages the end is loaded anew. */
const MOST_MISSED = 500;
const RETRY_MS = 2_000;

/** The number of the last loaded message; 0 where there is none. */
const endOf = (chat) => chat.messages.at(-1)?.seq ?? 0;

export class History {
  #api;
  #onChange;
  #onError;

  /** `onChange(chat)` is called as chats change, `onError(error)` where the node refuses. */
  constructor({ api, onChange, onError }) {
    this.#api = api;
    this.#onChange = onChange;
    this.#onError = onError;
  }

  /** Loads the end of a chat that `join` makes hear of what comes after it. */
  async load(chat, join) {
    if (chat.state === "loading") return;
    chat.state = "loading";
    this.#onChange(chat);
    try {
      await join();
      const { messages, hasOlder } = await this.#api.newest(chat.id, PAGE);
      chat.messages = [];
      chat.insert(messages);
      chat.hasOlder = hasOlder;
      chat.state = "loaded";
      // What came between the answer and now.
      if (chat.newest > endOf(chat)) await this.catchUp(chat);
    } catch (error) {
      chat.state = "failed";
      this.#onError(error);
    }
    this.#onChange(chat);
  }

  /** Loads what is before the loaded part. */
  async loadOlder(chat) {
    const first = chat.messages[0]?.seq ?? 1;
    if (chat.isLoadingOlder || !chat.hasOlder || first <= 1) return;
    chat.isLoadingOlder = true;
    this.#onChange(chat);
    try {
      // Numbers have no holes.
      const count = Math.min(PAGE, first - 1);
      const { messages } = await this.#api.after(chat.id, first - 1 - count, count);
      chat.insert(messages);
      chat.hasOlder = (chat.messages[0]?.seq ?? 1) > 1;
    } catch (error) {
      this.#onError(error);
    }
    chat.isLoadingOlder = false;
    this.#onChange(chat);
  }

  /**
   * Loads what comes after the loaded part. After a new connection `again`: the loaded part as well, since read marks may
   * have been missed.
   */
  async catchUp(chat, { again = false } = {}) {
    const end = endOf(chat);
    let seq = again ? (chat.messages[0]?.seq ?? 1) - 1 : end;
    try {
      for (;;) {
        const { messages, hasMore } = await this.#api.after(chat.id, seq, LARGEST_PAGE);
        chat.insert(messages);
        seq = messages.at(-1)?.seq ?? seq;
        if (!hasMore) break;
        if (seq - end >= MOST_MISSED) {
          chat.unload();
          return this.load(chat, () => {});
        }
      }
    } catch (error) {
      this.#onError(error);
      // Where the node was not reached, the next connection asks again.
      if (error.status > 401) setTimeout(() => this.catchUp(chat, { again }), RETRY_MS);
    }
    this.#onChange(chat);
  }
}
