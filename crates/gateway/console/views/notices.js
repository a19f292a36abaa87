// What is said without being asked: alerts on the screen, messages to screen readers.

import { byId, h, hidden, icon } from "../dom.js";

const SHOWN_MS = 8_000;
const MOST_TOASTS = 3;

/** Shows an alert for a while, longer where the pointer or the focus is on it. */
export function toast({ kind, from, text }) {
  const toasts = byId("toasts");
  let timer;
  const leave = () => element.remove();
  const wait = () => (timer = setTimeout(leave, SHOWN_MS));
  const stay = () => clearTimeout(timer);
  const close = h("button", { class: "round small", type: "button", onclick: leave }, icon("close"), hidden("Close"));
  const words = h("p", { dir: "auto" }, h("strong", {}, h("bdi", {}, from)), " ", text);
  const element = h("div", { class: "toast", "data-kind": kind, onmouseenter: stay, onmouseleave: wait, onfocusin: stay, onfocusout: wait }, words, close);
  toasts.append(element);
  while (toasts.children.length > MOST_TOASTS) toasts.firstElementChild.remove();
  wait();
}

/** Tells a screen reader of a message. */
export function announce(name, text) {
  const announcer = byId("announcer");
  announcer.append(h("span", {}, `${name}: ${text} `));
  while (announcer.children.length > MOST_TOASTS) announcer.firstElementChild.remove();
}

/** Takes everything away that was said. */
export function silence() {
  byId("toasts").replaceChildren();
  byId("announcer").replaceChildren();
}
