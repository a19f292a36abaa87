// The open chat: its head, its history with what scrolling does there, and whether it is being read.

import { byId, setText } from "../dom.js";
import { exactly, plural } from "../format.js";
import { linesOf, showLines } from "./messages.js";
import { showAvatar } from "./sidebar.js";

/** So near the end counts as being there, in pixels. */
const AT_END_PX = 40;
/** So near the beginning older messages are asked for. */
const AT_START_PX = 300;

export function conversationView(client) {
  const [log, list, older, state] = ["log", "messages", "older", "log-state"].map(byId);
  const toEnd = byId("to-end");
  const on = { retry: (key) => client.outbox.retry(key), discard: (key) => client.outbox.discard(key) };
  let shown;
  let isAtEnd = true;
  /** How many messages came while the user read older ones. */
  let below = 0;

  const show = () => {
    const chat = client.open;
    byId("welcome").hidden = chat !== undefined;
    byId("chat").hidden = chat === undefined;
    if (!chat) {
      shown = undefined;
      return;
    }
    if (chat !== shown?.chat) {
      shown = { chat, first: undefined, last: undefined, height: 0 };
      isAtEnd = true;
      below = 0;
    }
    showHead(chat);
    showState(chat);
    showHistory(chat);
    attend();
  };

  const showHead = (chat) => {
    const isOnline = client.isOnline(chat.other);
    const leftAt = client.people.leftAt(chat.other);
    showAvatar(byId("chat-avatar"), chat.other, chat.name, isOnline);
    setText(byId("chat-name"), chat.isSelf ? `${chat.name} (you)` : chat.name);
    const absence = leftAt ? `Last seen ${exactly(leftAt)}` : "Offline";
    const presence = client.status.phase !== "connected" ? "Presence unknown" : isOnline ? "Online" : absence;
    const id = chat.name === chat.other ? "" : ` · ${chat.other}`;
    setText(byId("chat-presence"), chat.isSelf ? "Notes to yourself" : presence + id);
    setText(byId("typing"), chat.isTyping ? `${chat.name} is typing…` : "");
  };

  const showState = (chat) => {
    const isEmpty = chat.messages.length === 0 && client.pending(chat).length === 0;
    const isOffline = !["connecting", "connected"].includes(client.status.phase);
    const texts = {
      new: isOffline ? "The history comes with the connection." : "Loading…",
      loading: "Loading…",
      failed: "The messages could not be loaded.",
      loaded: chat.isSelf ? "Nothing here yet. What you write stays with you." : "No messages yet. Say hello.",
    };
    state.hidden = !isEmpty;
    state.lastElementChild.hidden = chat.state !== "failed";
    setText(state.firstElementChild, isEmpty ? texts[chat.state] : "");
    const more = chat.isLoadingOlder ? "Loading older messages…" : "Scroll up for older messages";
    const start = chat.hasOlder ? more : "This is where the chat begins";
    setText(older, chat.messages.length > 0 ? start : "");
    log.setAttribute("aria-busy", String(chat.state === "loading" || chat.isLoadingOlder));
  };

  /** What the user reads stays where it is: the end at the end, and a message in its place when older ones come above it. */
  const showHistory = (chat) => {
    const lines = linesOf(chat.messages, client.pending(chat));
    const first = chat.messages[0]?.seq;
    const last = chat.messages.at(-1)?.seq ?? 0;
    const fromEnd = log.scrollHeight - log.scrollTop;
    const isOlder = shown.first !== undefined && first < shown.first;
    const isOwn = lines.at(-1)?.mine && lines.at(-1).key !== shown.end;
    showLines(list, lines, on);
    if (isOlder) log.scrollTop = log.scrollHeight - fromEnd;
    if (!isAtEnd && last > shown.last) below += chat.messages.filter(({ seq, mine }) => seq > shown.last && !mine).length;
    if (isAtEnd || (isOwn && shown.end !== undefined)) scrollToEnd();
    Object.assign(shown, { first, last, end: lines.at(-1)?.key });
    showToEnd();
    if (chat.hasOlder && isShown() && log.scrollTop < AT_START_PX) client.loadOlder(chat);
  };

  const scrollToEnd = () => {
    isAtEnd = true;
    below = 0;
    log.scrollTop = log.scrollHeight;
  };

  const showToEnd = () => {
    toEnd.hidden = isAtEnd;
    setText(byId("to-end-label"), below > 0 ? plural(below, "new message") : "To the latest");
  };

  const attend = () => client.attend(shown !== undefined && isAtEnd && document.visibilityState === "visible" && isShown());
  // On a phone the list may be in front of it.
  const isShown = () => log.clientHeight > 0;

  const scrolled = () => {
    if (!shown || !isShown()) return;
    const wasAtEnd = isAtEnd;
    isAtEnd = log.scrollHeight - log.scrollTop - log.clientHeight < AT_END_PX;
    if (isAtEnd) below = 0;
    showToEnd();
    if (isAtEnd !== wasAtEnd) attend();
    if (shown.chat.hasOlder && log.scrollTop < AT_START_PX) client.loadOlder(shown.chat);
  };

  const listening = new AbortController();
  const { signal } = listening;
  log.addEventListener("scroll", scrolled, { signal, passive: true });
  toEnd.addEventListener("click", () => (scrollToEnd(), showToEnd(), attend(), log.focus()), { signal });
  state.lastElementChild.addEventListener("click", () => client.load(client.open), { signal });
  document.addEventListener("visibilitychange", attend, { signal });
  // A composer that grows, a keyboard that opens: the end stays in sight.
  const resized = new ResizeObserver(() => {
    if (isAtEnd) scrollToEnd();
    attend();
  });
  resized.observe(log);
  const stops = [client.chats, client.people, client.outbox, client.connection].map((part) => part.watch(show));

  return () => {
    listening.abort();
    resized.disconnect();
    stops.forEach((stop) => stop());
    list.replaceChildren();
  };
}
