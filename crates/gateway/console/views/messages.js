// The lines of a chat: days, messages, what is on the way.

import { h, hidden, icon, reconcile, setAttribute, setText } from "../dom.js";
import { dayKey, dayOf, exactly, timeOf } from "../format.js";

/** Messages of one person so close to each other stand together. */
const TOGETHER_MS = 5 * 60_000;

const MARKS = {
  waiting: ["clock", "Waiting to be sent"],
  failed: ["warning", "Not sent"],
  sent: ["check", "Sent"],
  read: ["checks", "Read"],
};

/** What is shown, in order: `{ kind: "day" | "message", key, … }`. */
export function linesOf(messages, pending) {
  const waiting = pending.map(({ clientMessageId, message, at, error }) => ({
    key: clientMessageId,
    mine: true,
    text: message,
    at,
    mark: error === undefined ? "waiting" : "failed",
    error,
  }));
  const sent = messages.map((message) => ({ ...message, mark: message.isRead ? "read" : "sent" }));
  const lines = [];
  let before;
  for (const message of [...sent, ...waiting]) {
    const day = dayKey(message.at);
    if (!before || dayKey(before.at) !== day) {
      lines.push({ kind: "day", key: `day ${day}`, at: message.at });
      before = undefined;
    }
    const isTogether = before?.mine === message.mine && Date.parse(message.at) - Date.parse(before.at) < TOGETHER_MS;
    lines.push({ ...message, kind: "message", isFirst: !isTogether });
    before = message;
  }
  return lines;
}

/** Makes the list show `lines`. `on` has `retry(key)` and `discard(key)` for what was not sent. */
export function showLines(list, lines, on) {
  reconcile(list, lines, {
    key: ({ key }) => key,
    create: (line) => (line.kind === "day" ? h("li", { class: "day" }, h("time")) : createMessage(line)),
    update: (element, line) => (line.kind === "day" ? updateDay(element, line) : updateMessage(element, line, on)),
  });
}

function updateDay(element, { at }) {
  setText(element.firstChild, dayOf(at));
}

function createMessage({ mine }) {
  const parts = {
    author: hidden(""),
    text: h("p", { class: "text", dir: "auto" }),
    time: h("time"),
    edited: h("span", { class: "edited" }),
    mark: h("span", { class: "mark" }),
  };
  const meta = h("p", { class: "meta" }, parts.edited, parts.time, parts.mark);
  const element = h("li", { class: `message ${mine ? "mine" : "theirs"}` }, h("div", { class: "bubble" }, parts.author, parts.text, meta));
  element.parts = parts;
  return element;
}

function updateMessage(element, line, on) {
  const { parts } = element;
  element.classList.toggle("first", line.isFirst);
  setText(parts.author, line.mine ? "You: " : `${line.name}: `);
  setText(parts.text, line.text);
  setText(parts.time, timeOf(line.at));
  setAttribute(parts.time, "datetime", line.at);
  setAttribute(parts.time, "title", exactly(line.at));
  setText(parts.edited, line.isEdited ? "edited" : "");
  if (line.mine && element.dataset.mark !== line.mark) {
    const [name, label] = MARKS[line.mark];
    element.dataset.mark = line.mark;
    parts.mark.replaceChildren(icon(name), hidden(label));
    setAttribute(parts.mark, "title", label);
  }
  showFailure(element, line, on);
}

function showFailure(element, { key, error }, on) {
  const shown = element.querySelector(".failure");
  if (error === undefined) return shown?.remove();
  if (shown) return setText(shown.firstChild, `Not sent: ${error}`);
  const button = (text, act) => h("button", { class: "link", type: "button", onclick: () => act(key) }, text);
  element.append(
    h("p", { class: "failure" }, h("span", {}, `Not sent: ${error}`), button("Try again", on.retry), button("Discard", on.discard)),
  );
}
