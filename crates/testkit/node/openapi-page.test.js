// The page that shows the description of the HTTP routes, in a browser.

import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { startBrowser } from "./browser.js";
import { startNode } from "./carillon.js";
import { description, operations } from "./description.js";

let node;
let browser;
let page;
let complaints;

before(async () => {
  node = await startNode({ args: ["--dev"], env: { JWT_SECRET: undefined, CARILLON_BIND: undefined } });
  browser = await startBrowser();
  page = await browser.tab();
  page.on("console", (message) => message.type() === "error" && complaints.push(message.text()));
  page.on("pageerror", (error) => complaints.push(error.message));
  page.on("request", (request) => request.url().startsWith(`${node.url}/`) || complaints.push(request.url()));
});
after(async () => {
  await browser?.stop();
  await node?.stop();
});

async function open(hash = "") {
  complaints = [];
  await page.goto("about:blank");
  await page.goto(`${node.url}/docs${hash}`);
  await page.waitForSelector("#description[aria-busy=false]");
}

const textOf = (selector) => page.$eval(selector, (element) => element.textContent);

describe("the page", () => {
  test("shows every operation, status and schema, asks nobody else, and its own policy lets it", async () => {
    await open();
    for (const { id, method, template, operation } of operations) {
      const text = await textOf(`#${id}`);
      for (const part of [method, template, operation.summary, ...Object.keys(operation.responses)]) {
        assert.ok(text.includes(part), `${id}: ${part}`);
      }
    }
    for (const name of Object.keys(description.components.schemas)) assert.ok(await page.$(`[id="schema-${name}"]`), name);
    assert.deepEqual(complaints.filter((text) => !text.includes("favicon")), []);
  });

  test("opens the operation that its address names", async () => {
    await open("#createNotification");
    assert.equal(await page.$eval("#createNotification", (element) => element.open), true);
    assert.match(await textOf("#createNotification"), /toUser.*Whose it is/s);
  });

  test("leaves what the filter has, of the operations", async () => {
    await open();
    await page.type("#filter", "cleanup");
    assert.deepEqual(
      await page.$$eval(".operation:not([hidden])", (elements) => elements.map(({ id }) => id)),
      ["cleanUpNotifications"],
    );
  });

  for (const scheme of ["light", "dark"]) {
    test(`fits a phone, ${scheme}`, async () => {
      await page.setViewport({ width: 360, height: 740 });
      await page.emulateMediaFeatures([{ name: "prefers-color-scheme", value: scheme }]);
      await open("#createNotification");
      const { wide, light } = await page.evaluate(() => ({
        wide: document.documentElement.scrollWidth,
        light: getComputedStyle(document.body).backgroundColor === "rgb(255, 255, 255)",
      }));
      assert.ok(wide <= 360, `${wide} wide`);
      assert.equal(light, scheme === "light");
    });
  }
});
