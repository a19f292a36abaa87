// Writing: Enter sends, Shift and Enter begin a new line; on a touch screen Enter is a new line as everywhere there.

import { byId, setText } from "../dom.js";

const MOST_UNITS = 1_000;
const COUNT_FROM = 800;
const TYPING_STOPS_MS = 4_000;

export function composerView(client) {
  const form = byId("composer");
  const field = byId("text");
  const send = byId("send");
  const counter = byId("text-count");
  const isTouch = matchMedia("(pointer: coarse)");
  /** What was begun in a chat waits there. */
  const drafts = new Map();
  let chat = client.open;
  let pause;

  const show = () => {
    const length = field.value.trim().length;
    const isTooLong = length > MOST_UNITS;
    const isFull = client.outbox.isFull;
    send.disabled = length === 0 || isTooLong || isFull;
    field.setAttribute("aria-invalid", String(isTooLong));
    counter.classList.toggle("over", isTooLong || isFull);
    const count = length >= COUNT_FROM ? `${length} of ${MOST_UNITS}` : "";
    setText(counter, isFull ? "Too many messages wait to be sent" : isTooLong ? `${length - MOST_UNITS} too many` : count);
    // As high as its text; the style sheet says how high at most.
    field.style.height = "auto";
    field.style.height = `${field.scrollHeight + field.offsetHeight - field.clientHeight}px`;
  };

  const followChat = () => {
    if (client.open === chat) return;
    if (chat) drafts.set(chat.other, field.value);
    chat = client.open;
    clearTimeout(pause);
    field.value = drafts.get(chat?.other) ?? "";
    if (chat) show();
  };

  const typed = () => {
    show();
    clearTimeout(pause);
    const isTyping = field.value.trim() !== "";
    client.typing(isTyping);
    if (isTyping) pause = setTimeout(() => client.typing(false), TYPING_STOPS_MS);
  };

  const submit = (event) => {
    event.preventDefault();
    show();
    field.focus();
    if (send.disabled) return;
    clearTimeout(pause);
    client.typing(false);
    client.send(field.value);
    field.value = "";
    show();
  };

  const pressed = (event) => {
    if (event.key !== "Enter" || event.shiftKey || event.isComposing || isTouch.matches) return;
    submit(event);
  };

  const listening = new AbortController();
  const { signal } = listening;
  form.addEventListener("submit", submit, { signal });
  field.addEventListener("input", typed, { signal });
  field.addEventListener("keydown", pressed, { signal });
  const stops = [client.chats.watch(followChat), client.outbox.watch(show)];
  return () => {
    listening.abort();
    clearTimeout(pause);
    stops.forEach((stop) => stop());
    field.value = "";
  };
}
