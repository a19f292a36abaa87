// Elements, made and kept up to date. Text is only ever text: nothing here reads markup.

const SVG = "http://www.w3.org/2000/svg";

const ICONS = {
  back: "M15 5l-7 7 7 7",
  bell: "M6 16V11a6 6 0 0 1 12 0v5l2 2H4zM10 21h4",
  check: "M5 13l4 4L19 7",
  checks: "M2 13l4 4 8-9M11 16l1.5 1.5L22 8",
  clock: "M12 7v5l3 2M21 12a9 9 0 1 1-18 0 9 9 0 0 1 18 0",
  close: "M6 6l12 12M18 6L6 18",
  down: "M12 5v14M6 13l6 6 6-6",
  leave: "M10 4H5v16h5M14 8l4 4-4 4M18 12H9",
  send: "M4 12l16-8-6 16-3-7z",
  trash: "M5 7h14M10 7V4h4v3M7 7l1 13h8l1-13",
  warning: "M12 4l9 16H3zM12 10v4M12 17v.5",
};

/** The element with an id. */
export const byId = (id) => document.getElementById(id);

/**
 * An element: `h("button", { class: "plain", type: "button", onclick: f }, "Text", child)`. Functions become listeners,
 * `undefined` and `false` leave an attribute out; children that are text become text.
 */
export function h(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (typeof value === "function") element.addEventListener(name.slice(2), value);
    else setAttribute(element, name, value);
  }
  element.append(...children.filter((child) => child !== undefined));
  return element;
}

export function setAttribute(element, name, value) {
  if (value === undefined || value === false) element.removeAttribute(name);
  else element.setAttribute(name, value === true ? "" : value);
}

/** Sets text where it differs, so that what listens to changes hears only real ones. */
export function setText(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

/** An icon that assistive technology passes over. */
export function icon(name) {
  const svg = document.createElementNS(SVG, "svg");
  svg.setAttribute("viewBox", "0 0 24 24");
  svg.setAttribute("aria-hidden", "true");
  svg.setAttribute("class", `icon icon-${name}`);
  const path = document.createElementNS(SVG, "path");
  path.setAttribute("d", ICONS[name]);
  svg.append(path);
  return svg;
}

/** Text for assistive technology alone. */
export const hidden = (text) => h("span", { class: "hidden-text" }, text);

/** Puts icons where the page names them. */
export function placeIcons() {
  for (const place of document.querySelectorAll("[data-icon]")) place.replaceWith(icon(place.dataset.icon));
}

const keys = new WeakMap();

/**
 * Makes the children of `parent` those of `items`: elements are kept by `key(item)`, made by `create(item)`, and given to
 * `update(element, item)` each time.
 */
export function reconcile(parent, items, { key, create, update }) {
  const present = new Map([...parent.children].map((element) => [keys.get(element), element]));
  let place = parent.firstElementChild;
  for (const item of items) {
    const name = key(item);
    let element = present.get(name);
    if (element) present.delete(name);
    else keys.set((element = create(item)), name);
    update(element, item);
    if (element === place) place = place.nextElementSibling;
    else parent.insertBefore(element, place);
  }
  for (const element of present.values()) element.remove();
}
