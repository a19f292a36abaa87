// Shows /openapi.json. Whatever the document says goes onto the page as text, never as markup.

const described = document.querySelector("#description");
const contents = document.querySelector("#contents");

/** The document's schemas by their names. */
let schemas = {};

/** An element with attributes and children; a text among the children stays a text. */
function el(name, attributes = {}, ...children) {
  const element = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  element.append(...children.flat(3).filter((child) => child !== undefined));
  return element;
}

/** Paragraphs with `code` and **strong** in them. */
function prose(text = "") {
  return text.split(/\n{2,}/).filter(Boolean).map((paragraph) => el("p", {}, inline(paragraph)));
}

function inline(text = "") {
  return text.split(/(`[^`]+`|\*\*[^*]+\*\*)/).map((part) => {
    if (part.startsWith("`") && part.length > 2) return el("code", {}, part.slice(1, -1));
    if (part.startsWith("**") && part.length > 4) return el("strong", {}, part.slice(2, -2));
    return part;
  });
}

const anchorOf = (schema) => `schema-${schema}`;
const nameOf = (reference) => reference.split("/").pop();
const resolved = (schema) => (schema.$ref ? schemas[nameOf(schema.$ref)] : schema);

/** A schema in a few words: its type, its bounds, or a link where it has a name. */
function brief(schema) {
  if (schema.$ref) {
    const name = nameOf(schema.$ref);
    return [el("a", { href: `#${anchorOf(name)}` }, name)];
  }
  if (schema.anyOf) return schema.anyOf.flatMap((form, index) => (index === 0 ? brief(form) : [" or ", ...brief(form)]));
  if (schema.enum) return schema.enum.flatMap((value, index) => [index === 0 ? "" : " or ", el("code", {}, JSON.stringify(value))]);
  if (schema.type === "array") return ["list of ", ...(schema.items ? brief(schema.items) : ["anything"])];
  const type = [schema.type].flat().join(" or ") || "anything";
  return [schema.format ? `${type} (${schema.format})` : type, ...bounds(schema)];
}

function bounds(schema) {
  const told = [
    ["minLength", "at least", "characters"],
    ["maxLength", "at most", "characters"],
    ["minimum", "from", ""],
    ["maximum", "to", ""],
    ["pattern", "as", ""],
  ].filter(([key]) => key in schema);
  return told.flatMap(([key, word, unit]) => [`, ${word} `, el("code", {}, String(schema[key])), unit && ` ${unit}`]);
}

/** The properties of an object, each with what it is and what is said of it. */
function properties(schema) {
  if (schema.anyOf) return schema.anyOf.map((form) => properties(form));
  const required = schema.required ?? [];
  const entries = Object.entries(schema.properties ?? {}).map(([name, property]) => [
    el("dt", {}, el("code", {}, name), " ", brief(property), required.includes(name) ? undefined : el("span", { class: "faint" }, ", optional")),
    el("dd", {}, inline(property.description), properties(property)),
  ]);
  return entries.length === 0 ? [] : el("dl", {}, ...entries);
}

const json = (value) => (typeof value === "string" ? value : JSON.stringify(value, undefined, 2));

/** A body by its types of content. */
function body(content = {}) {
  return Object.entries(content).map(([type, { schema, example }]) => [
    el("p", {}, el("code", {}, type), ": ", brief(schema)),
    (schema.anyOf ?? [schema]).map((form) => properties(resolved(form))),
    example === undefined ? undefined : el("pre", { tabindex: "0" }, json(example)),
  ]).flat(2);
}

function named(entries) {
  return el("dl", {}, ...entries.flatMap(([title, text]) => [el("dt", {}, title), el("dd", {}, text)]));
}

function parameters(list = []) {
  if (list.length === 0) return [];
  const entries = list.map((one) => [
    [el("code", {}, one.name), ` in the ${one.in}: `, ...brief(one.schema), one.schema.default === undefined ? "" : `, else ${one.schema.default}`],
    inline(one.description),
  ]);
  return [el("h3", {}, "Parameters"), named(entries)];
}

function responses(operation) {
  return Object.entries(operation.responses).map(([status, response]) => {
    const headers = Object.entries(response.headers ?? {}).map(([name, header]) => [
      [el("code", {}, name), ": ", ...brief(header.schema)],
      inline(header.description),
    ]);
    return el(
      "details",
      {},
      el("summary", {}, el("strong", {}, status), " ", inline(response.description)),
      el("div", { class: "inside" }, headers.length > 0 ? named(headers) : undefined, body(response.content)),
    );
  });
}

function heading(method, path) {
  return [el("span", { class: `method ${method}` }, method.toUpperCase()), " ", el("code", {}, path)];
}

function operationOf({ method, path, operation }) {
  const request = operation.requestBody;
  return el(
    "details",
    { id: operation.operationId, class: "operation" },
    el("summary", {}, heading(method, path), " ", el("span", { class: "faint" }, operation.summary)),
    el(
      "div",
      { class: "inside" },
      prose(operation.description),
      operation.security ? el("p", { class: "faint" }, "Needs a token.") : undefined,
      parameters(operation.parameters),
      request ? [el("h3", {}, "Body"), ...prose(request.description), ...body(request.content)] : [],
      el("h3", {}, "Answers"),
      responses(operation),
    ),
  );
}

function schemaOf([name, schema]) {
  return el(
    "details",
    { id: anchorOf(name) },
    el("summary", {}, el("code", {}, name)),
    el("div", { class: "inside" }, prose(schema.description), el("p", {}, brief(schema)), properties(schema)),
  );
}

function show(api) {
  document.querySelector("#version").textContent = api.info.version;
  schemas = api.components.schemas;
  const all = Object.entries(api.paths).flatMap(([path, item]) =>
    Object.entries(item).map(([method, operation]) => ({ path, method, operation })),
  );
  described.append(...prose(api.info.description));
  for (const { name, description } of api.tags) {
    const own = all.filter(({ operation }) => operation.tags.includes(name));
    described.append(el("section", {}, el("h2", {}, name), prose(description), own.map(operationOf)));
    const links = own.map(({ method, path, operation }) =>
      el("li", {}, el("a", { href: `#${operation.operationId}` }, heading(method, path))),
    );
    contents.append(el("section", {}, el("h2", {}, name), el("ul", {}, links)));
  }
  described.append(el("section", {}, el("h2", {}, "Schemas"), Object.entries(schemas).map(schemaOf)));
  described.setAttribute("aria-busy", "false");
}

/** Leaves of the operations those that have the text in them. */
function filter(text) {
  const wanted = text.trim().toLowerCase();
  for (const operation of document.querySelectorAll(".operation")) {
    operation.hidden = !operation.textContent.toLowerCase().includes(wanted);
    const link = contents.querySelector(`a[href="#${operation.id}"]`);
    link.parentElement.hidden = operation.hidden;
  }
}

/** Opens what the address points at. */
function openTarget() {
  const target = document.getElementById(decodeURIComponent(location.hash.slice(1)));
  if (!(target instanceof HTMLDetailsElement)) return;
  target.open = true;
  target.scrollIntoView();
}

async function load() {
  try {
    const response = await fetch("/openapi.json");
    if (!response.ok) throw new Error(`the node answered ${response.status}`);
    show(await response.json());
    openTarget();
  } catch (error) {
    described.setAttribute("aria-busy", "false");
    described.append(el("p", { role: "alert" }, `The document could not be shown: ${error.message}`));
  }
}

addEventListener("hashchange", openTarget);
document.querySelector("#filter").addEventListener("input", ({ target }) => filter(target.value));
await load();
