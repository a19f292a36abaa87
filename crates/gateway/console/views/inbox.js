// The bell and what is behind it: unread notifications and the counts over all.

import { byId, h, hidden, icon, reconcile, setAttribute, setText } from "../dom.js";
import { count, exactly, plural, shortly } from "../format.js";

const KINDS = { chat: "Message", system: "System", alert: "Alert" };

/** `onOpen(user)` is called for the chat of a notification. */
export function inboxView(client, onOpen) {
  const { inbox } = client;
  const dialog = byId("inbox");
  const list = byId("notifications");
  const error = byId("inbox-error");

  /** Runs what a button asks for, and tells where it fails. */
  const attempt = async (act) => {
    setText(error, "");
    try {
      await act();
    } catch (refusal) {
      setText(error, refusal.message);
    }
  };

  const create = (entry) => {
    const act = (name, label, listener) =>
      h("button", { class: "round small", type: "button", title: label, onclick: listener }, icon(name), hidden(label));
    const text = h("p", { class: "text", dir: "auto" }, entry.text);
    const meta = h(
      "p",
      { class: "meta" },
      h("span", { class: "kind" }, KINDS[entry.kind] ?? KINDS.chat),
      h("span", {}, "from ", h("bdi", {}, entry.from)),
      h("time", { datetime: entry.at, title: exactly(entry.at) }, shortly(entry.at)),
    );
    const open = () => {
      dialog.close();
      onOpen(entry.fromId);
    };
    const body =
      entry.kind === "chat"
        ? h("button", { class: "body", type: "button", onclick: open }, text, meta)
        : h("div", { class: "body" }, text, meta);
    return h(
      "li",
      { class: "notification", "data-kind": entry.kind, "data-priority": entry.priority },
      body,
      act("check", "Mark as read", () => leave(entry, () => inbox.markRead(entry))),
      act("trash", "Delete", () => leave(entry, () => inbox.delete(entry))),
    );
  };

  /** The entry goes; the focus moves to its neighbour and not to nowhere. */
  const leave = (entry, act) => {
    const rows = [...list.children];
    const at = rows.findIndex((row) => row.contains(document.activeElement));
    attempt(act);
    queueMicrotask(() => (list.children[Math.min(at, list.children.length - 1)]?.querySelector("button") ?? byId("inbox-close")).focus());
  };

  const show = () => {
    const { statistics, entries, state } = inbox;
    const { unread, total, chats } = statistics;
    const bell = byId("bell-count");
    bell.hidden = unread === 0;
    setText(bell, count(unread));
    setText(byId("bell-label"), unread > 0 ? `Notifications, ${unread} unread` : "Notifications");
    setText(byId("stat-unread"), String(unread));
    setText(byId("stat-read"), String(Math.max(0, total - unread)));
    setText(byId("stat-total"), String(total));
    setText(byId("stat-chats"), String(chats));
    if (!dialog.open) return;
    reconcile(list, entries, { key: ({ id }) => id, create, update: () => {} });
    const more = unread - entries.length;
    const empty = { loading: "Loading…", failed: "The notifications could not be loaded.", loaded: "You have read everything." };
    setText(byId("inbox-empty"), entries.length === 0 ? empty[state] : more > 0 ? `and ${plural(more, "older one")}` : "");
    setAttribute(byId("read-all"), "disabled", entries.length === 0);
  };

  const listening = new AbortController();
  const { signal } = listening;
  const open = () => {
    setText(error, "");
    dialog.showModal();
    show();
    inbox.load();
  };
  byId("bell").addEventListener("click", open, { signal });
  byId("inbox-close").addEventListener("click", () => dialog.close(), { signal });
  byId("read-all").addEventListener("click", () => attempt(() => inbox.markAllRead()), { signal });
  // Beside it, on what it covers.
  dialog.addEventListener("click", (event) => event.target === dialog && dialog.close(), { signal });
  const stop = inbox.watch(show);
  return () => {
    listening.abort();
    dialog.close();
    stop();
    list.replaceChildren();
  };
}
