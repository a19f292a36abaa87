// Who is writing. Signals may be lost: those of others end by themselves, this user's are repeated.

const ENDS_MS = 6_000;
const REPEATS_MS = 3_000;

export class Typing {
  #signal;
  #told = { chat: undefined, at: 0 };
  #ends = new Map();

  /** `signal(chat, isTyping)` tells the other one of a chat. */
  constructor(signal) {
    this.#signal = signal;
  }

  /** The user is, or is no longer, writing in a chat. */
  tell(chat, isTyping) {
    const now = Date.now();
    const isTold = this.#told.chat === chat && now - this.#told.at < REPEATS_MS;
    if (isTyping ? isTold : this.#told.at === 0) return;
    this.#told = { chat, at: isTyping ? now : 0 };
    this.#signal(chat, isTyping);
  }

  /** A message was sent: that says enough. */
  sent() {
    this.#told.at = 0;
  }

  /** The other one of a chat is, or is no longer, writing; `onChange()` is called once that has ended by itself. */
  heard(chat, isTyping, onChange) {
    chat.isTyping = isTyping;
    clearTimeout(this.#ends.get(chat));
    this.#ends.delete(chat);
    if (!isTyping) return;
    const end = () => {
      this.heard(chat, false);
      onChange();
    };
    this.#ends.set(chat, setTimeout(end, ENDS_MS));
  }
}
