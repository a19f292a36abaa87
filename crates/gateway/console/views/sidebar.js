// The list of chats, who is online, and the way to a new chat.

import { byId, h, hidden, reconcile, setAttribute, setText } from "../dom.js";
import { colourOf, count, exactly, initialOf, shortly } from "../format.js";

/** Rows that are shown of a list at most; the field above narrows it. */
const MOST_ROWS = 200;

/** Fills the place of somebody's picture. */
export function showAvatar(element, user, name, isOnline) {
  setText(element, initialOf(name));
  element.dataset.colour = colourOf(user);
  element.dataset.online = isOnline === true;
}

/** `onSelect(user)` is called for the chat that is chosen. */
export function sidebarView(client, onSelect) {
  const field = byId("find-user");
  const [chats, online] = [byId("chats"), byId("online")];
  showAvatar(byId("me-avatar"), client.me, client.name);
  setText(byId("me-name"), client.name);

  const row = (user) => {
    const parts = {
      avatar: h("span", { class: "avatar", "aria-hidden": "true" }),
      name: h("bdi", { class: "name", "data-user": user }),
      presence: hidden(""),
      time: h("time", { class: "time" }),
      preview: h("span", { class: "preview", dir: "auto" }),
      badge: h("span", { class: "badge", "aria-hidden": "true" }),
      unread: hidden(""),
    };
    const button = h(
      "button",
      { class: "row", type: "button", onclick: () => onSelect(user) },
      parts.avatar,
      h("span", { class: "line" }, parts.name, parts.presence, parts.time),
      h("span", { class: "line" }, parts.preview, parts.badge, parts.unread),
    );
    const element = h("li", {}, button);
    element.parts = { ...parts, button };
    return element;
  };

  const updateChat = (element, chat) => {
    const { parts } = element;
    const isOnline = client.isOnline(chat.other);
    const isOpen = chat === client.open;
    const waiting = client.outbox.to(chat.other).at(-1);
    const last = waiting ? { text: waiting.message, at: waiting.at, mine: true } : chat.last;
    showAvatar(parts.avatar, chat.other, chat.name, isOnline);
    setText(parts.name, chat.isSelf ? `${chat.name} (you)` : chat.name);
    setText(parts.presence, isOnline ? ", online," : ",");
    setText(parts.time, last ? shortly(last.at) : "");
    setAttribute(parts.time, "title", last && exactly(last.at));
    const text = last ? `${last.mine && !chat.isSelf ? "You: " : ""}${last.text}` : "No message yet";
    setText(parts.preview, chat.isTyping ? "typing…" : text);
    parts.preview.classList.toggle("is-typing", chat.isTyping);
    parts.badge.hidden = chat.unread === 0;
    setText(parts.badge, count(chat.unread));
    setText(parts.unread, chat.unread > 0 ? `, ${chat.unread} unread` : "");
    setAttribute(parts.button, "aria-current", isOpen && "true");
  };

  const updatePerson = (element, user) => {
    const { parts } = element;
    const { name } = client.chat(user);
    showAvatar(parts.avatar, user, name, client.isOnline(user));
    setText(parts.name, name);
    setText(parts.presence, ",");
    setText(parts.preview, name === user ? "Online" : user);
    parts.badge.hidden = true;
  };

  const show = () => {
    const wanted = field.value.trim().toLocaleLowerCase();
    const matches = (...texts) => texts.some((text) => text.toLocaleLowerCase().includes(wanted));
    const listed = client.list();
    const found = listed.filter(({ other, name }) => matches(other, name));
    reconcile(chats, found.slice(0, MOST_ROWS), { key: ({ other }) => other, create: ({ other }) => row(other), update: updateChat });
    const others = client.people.online();
    const present = others.filter((user) => matches(user, client.chat(user).name));
    reconcile(online, present.slice(0, MOST_ROWS), { key: (user) => user, create: row, update: updatePerson });

    const known = client.status.phase === "connected" ? `(${others.length})` : "(last known)";
    setText(byId("online-count"), others.length === 0 ? "" : known);
    setText(byId("chats-empty"), emptyChats(found.length, wanted));
    const nobody = others.length > 0 ? "Nobody of that name" : "Nobody else is here";
    setText(byId("online-empty"), present.length > 0 ? "" : nobody);
    for (const list of [chats, online]) keepTabStop(list);
    const unread = client.unread;
    document.title = unread > 0 ? `(${count(unread)}) Carillon` : "Carillon";
  };

  const emptyChats = (shown, wanted) => {
    if (wanted !== "") return shown > 0 ? "" : `Press Enter to start a chat with “${field.value.trim()}”`;
    if (shown > 0) return "";
    if (client.listState === "loading") return "Loading…";
    return client.listState === "failed" ? "The chats could not be loaded" : "No chats yet. Type a user ID above to start one.";
  };

  const started = (event) => {
    event.preventDefault();
    const user = field.value.trim();
    if (user === "") return;
    // One that is found by its name is meant.
    const known = client.list().find(({ name }) => name.toLocaleLowerCase() === user.toLocaleLowerCase());
    field.value = "";
    onSelect(known?.other ?? user);
  };

  const listening = new AbortController();
  const { signal } = listening;
  byId("find").addEventListener("submit", started, { signal });
  field.addEventListener("input", show, { signal });
  for (const list of [chats, online]) list.addEventListener("keydown", moveInRows, { signal });
  const stops = [client.chats, client.people, client.outbox, client.connection].map((state) => state.watch(show));

  return {
    /** Puts the focus on a chat's row. */
    focus(user) {
      const rows = [...chats.querySelectorAll("button")];
      const listed = client.list().findIndex(({ other }) => other === user);
      (rows[listed] ?? field).focus();
    },
    end() {
      listening.abort();
      stops.forEach((stop) => stop());
      chats.replaceChildren();
      online.replaceChildren();
      field.value = "";
    },
  };
}

/** A list is one stop of the Tab key; arrows move in it. */
function keepTabStop(list) {
  const rows = [...list.querySelectorAll("button")];
  const stop =
    rows.find((row) => row === document.activeElement) ?? rows.find((row) => row.hasAttribute("aria-current")) ?? rows[0];
  for (const row of rows) row.tabIndex = row === stop ? 0 : -1;
}

function moveInRows(event) {
  const rows = [...event.currentTarget.querySelectorAll("button")];
  const at = rows.indexOf(document.activeElement);
  const to = { ArrowDown: at + 1, ArrowUp: at - 1, Home: 0, End: rows.length - 1 }[event.key];
  if (to === undefined || at < 0) return;
  event.preventDefault();
  rows[to]?.focus();
  keepTabStop(event.currentTarget);
}

