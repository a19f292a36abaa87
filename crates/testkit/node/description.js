// The description of the HTTP routes (docs/api/openapi.json), and the check of answers by it: every status must be described,
// every body and header as it says, no key beside those described.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { Ajv2020 } from "ajv/dist/2020.js";
import addFormats from "ajv-formats";

const FILE = new URL("../../../docs/api/openapi.json", import.meta.url);

/** The document. */
export const description = JSON.parse(readFileSync(FILE, "utf8"));

/** Every operation: `{ id, method, template, matches, operation }`. */
export const operations = Object.entries(description.paths).flatMap(([template, item]) =>
  Object.entries(item).map(([method, operation]) => ({
    id: operation.operationId,
    method: method.toUpperCase(),
    template,
    matches: matcher(template),
    operation,
  })),
);

/** Paths are compared without regard to case, and with or without a slash at the end. */
function matcher(template) {
  const segments = template.split("/").map((segment) => (segment.startsWith("{") ? "[^/]+" : segment.replaceAll(".", "\\.")));
  return new RegExp(`^${segments.join("/")}/?$`, "i");
}

const ajv = new Ajv2020({ allErrors: true, allowUnionTypes: true, strictTypes: false });
addFormats.default(ajv);
// The document itself, so that references into it are found.
ajv.addVocabulary(["components", "paths"]);
// Answers may gain keys; those that are not described yet are a fault all the same.
const closed = JSON.parse(JSON.stringify(description), (key, value) =>
  value?.properties && value.type === "object" && !("additionalProperties" in value) ? { ...value, additionalProperties: false } : value,
);
ajv.addSchema({ $id: "answers", components: closed.components, paths: closed.paths }, undefined, undefined, false);
ajv.addSchema({ $id: "document", components: description.components, paths: description.paths }, undefined, undefined, false);

const pointer = (...keys) => `#/${keys.map((key) => key.replaceAll("~", "~0").replaceAll("/", "~1")).map(encodeURIComponent).join("/")}`;

function assertValid(schema, value, what) {
  const validate = ajv.getSchema(schema);
  assert.ok(validate, `${what}: no schema ${schema}`);
  assert.ok(validate(value), `${what}: ${ajv.errorsText(validate.errors)} in ${JSON.stringify(value)}`);
}

/** Where in the document the content of a response is, or of a request where `status` is none. */
function contentOf({ template, method }, status) {
  const place = status === undefined ? ["requestBody"] : ["responses", String(status)];
  return ["paths", template, method.toLowerCase(), ...place, "content"];
}

/** Asserts that the examples of an operation are as its schemas say. */
export function assertExamples(operation) {
  const { requestBody, responses } = operation.operation;
  const places = Object.entries(responses).map(([status, response]) => [status, response]);
  if (requestBody) places.push([undefined, requestBody]);
  for (const [status, { content = {} }] of places) {
    for (const [type, { example }] of Object.entries(content)) {
      const what = `the example of ${operation.id} ${status ?? "request"}`;
      assert.notEqual(example, undefined, what);
      assertValid(`answers${pointer(...contentOf(operation, status), type, "schema")}`, example, what);
    }
  }
}

/** Whether a body is one that an operation takes. */
export function takes(operation, body) {
  return ajv.getSchema(`document${pointer(...contentOf(operation), "application/json", "schema")}`)(body);
}

/**
 * Asserts that an answer is as the document says. `headers` has a `get`, as those of `fetch`. What no route of the document
 * answers is left alone: Engine.IO, development, a balancer.
 */
export function assertDescribed(method, url, { status, headers, text }) {
  const path = url.split(/[?#]/, 1)[0];
  const type = headers.get("content-type") ?? undefined;
  const here = operations.filter(({ matches }) => matches.test(path));
  if (here.length === 0 || isNotOfTheRoutes({ status, type, text })) return;
  const asked = method === "HEAD" ? "GET" : method;
  const operation = here.find((one) => one.method === asked);
  const what = `${method} ${path} ${status}`;
  if (!operation) {
    assertOtherMethod(method, what, { status, headers, text }, here);
    return;
  }
  const response = operation.operation.responses[status];
  assert.ok(response, `${what} is not described: ${text}`);
  for (const [name, { schema }] of Object.entries(response.headers ?? {})) {
    const value = headers.get(name);
    assert.ok(value, `${what} has no ${name}`);
    const given = schema.type === "integer" ? Number(value) : value;
    assertValid(`answers${pointer("paths", operation.template, operation.method.toLowerCase(), "responses", String(status), "headers", name, "schema")}`, given, `${what} ${name}`);
  }
  const known = Object.keys(response.content ?? {});
  if (method === "HEAD" || known.length === 0) {
    assert.equal(text, "", what);
    return;
  }
  assert.ok(known.includes(type), `${what} is ${type}, not ${known}`);
  const body = type === "application/json" ? JSON.parse(text) : text;
  assertValid(`answers${pointer(...contentOf(operation, status), type, "schema")}`, body, what);
}

/** What is refused before any route is looked for: by a balancer, by the HTTP library, by a development node's gate. */
function isNotOfTheRoutes({ status, type, text }) {
  if (type === undefined) return [400, 408, 431].includes(status) && text === "";
  return type.startsWith("text/html") || (status === 403 && text.includes("A development node serves only this machine"));
}

/** A method that the path does not have: a preflight is answered, any other is refused with those that there are. */
function assertOtherMethod(method, what, { status, headers, text }, here) {
  if (method === "OPTIONS") {
    assert.equal(status, 204, what);
    return;
  }
  if (status === 503) return;
  assert.equal(status, 405, `${what}: ${text}`);
  const methods = here.flatMap((one) => (one.method === "GET" ? ["GET", "HEAD"] : [one.method]));
  assert.deepEqual(headers.get("allow").split(", ").sort(), methods.sort(), what);
  const body = JSON.parse(text);
  assert.equal(body.code, "method_not_allowed", what);
  assert.ok(body.message, what);
}
