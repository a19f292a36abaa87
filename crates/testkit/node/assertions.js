// What the contract says again and again.

import assert from "node:assert/strict";

export const ISO = /^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}\.\d{3}Z$/;
export const OBJECT_ID = /^[0-9a-f]{24}$/;

/**
 * `actual` has every key of `expected` with an equal value; it may have more. A regular expression stands for the text
 * that it matches, a function for what it is true of.
 */
export function assertHas(actual, expected, path = "value") {
  assert.ok(actual !== null && typeof actual === "object", `${path} is no object: ${JSON.stringify(actual)}`);
  for (const [key, wanted] of Object.entries(expected)) {
    const found = actual[key];
    const where = `${path}.${key} of ${JSON.stringify(actual)}`;
    if (wanted instanceof RegExp) {
      assert.equal(typeof found, "string", where);
      assert.match(found, wanted, where);
    } else if (typeof wanted === "function") {
      assert.ok(wanted(found), where);
    } else if (wanted !== null && typeof wanted === "object" && !Array.isArray(wanted)) {
      assertHas(found, wanted, `${path}.${key}`);
    } else {
      assert.deepEqual(found, wanted, where);
    }
  }
}

/** An acknowledgement that refuses, and the `error` event beside it. */
export function assertRefused(answer, code, message) {
  assertHas(answer, { error: { code, ...(message && { message }) } }, "ack");
  assert.ok(!("details" in answer.error), "details are for development alone");
}

/** A REST refusal: JSON with `message` and `code`. */
export function assertProblem(response, status, code, message) {
  assert.equal(response.status, status, response.text);
  assert.match(response.headers.get("content-type") ?? "", /^application\/json/);
  assertHas(response.body, { code, message: message ?? /./ }, "body");
}

/**
 * What `measure` takes, in milliseconds, is less than `ms`. A busy machine adds to it and never takes from it: the least of some
 * is what it takes.
 */
export async function assertWithin(ms, measure) {
  const all = [];
  while (all.length < 5 && !(all.at(-1) < ms)) all.push(Math.round(await measure()));
  assert.ok(all.at(-1) < ms, `${all.join(", ")} ms, not ${ms}`);
}

/** `1, 2, 3 …` without a hole. */
export function assertConsecutive(numbers, first = 1) {
  assert.deepEqual(numbers, numbers.map((_, index) => first + index));
}
