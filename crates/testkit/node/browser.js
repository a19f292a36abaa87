// Chromium without a window, and the console in it as a person uses it.

import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import puppeteer from "puppeteer-core";
import { PATIENCE } from "./process.js";
import { within } from "./wire.js";

export const DESKTOP = { width: 1280, height: 800 };
export const PHONE = { width: 390, height: 844, isMobile: true, hasTouch: true, deviceScaleFactor: 2 };

/** The row of a chat in the list. */
export const rowOf = (user) => `#chats li:has(bdi[data-user="${user}"])`;

/** Sends `message 1` to `message <count>` over the official client. */
export async function sendMany(node, from, to, count, senderName) {
  const sender = await node.connect(from);
  for (let number = 1; number <= count; number += 1) await sender.send(to, `message ${number}`, { senderName });
  sender.close();
}

/** Starts the browser that `CARILLON_TEST_CHROMIUM` names; where it names none the tests fail. */
export async function startBrowser() {
  const executablePath = process.env.CARILLON_TEST_CHROMIUM;
  if (!executablePath) throw new Error("CARILLON_TEST_CHROMIUM names no browser");
  const folder = await mkdtemp(join(tmpdir(), "carillon-browser-"));
  const args = ["--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu", "--lang=en-GB"];
  const browser = await puppeteer.launch({ executablePath, headless: true, args, userDataDir: folder, timeout: PATIENCE });
  return new Browser(browser, folder);
}

/** What comes of waiting, or an error that says what was waited for. */
async function told(found, what) {
  try {
    return await found;
  } catch (error) {
    throw new Error(`waited for ${what}`, { cause: error });
  }
}

class Browser {
  #browser;
  #folder;
  #visits = [];

  constructor(browser, folder) {
    this.#browser = browser;
    this.#folder = folder;
  }

  /** The console of a node in a browser profile of its own, signed out. */
  async visit(node, { viewport = DESKTOP, media = {} } = {}) {
    const context = await this.#browser.createBrowserContext();
    this.#visits.push(context);
    return Visitor.open(context, node, viewport, media);
  }

  /** Closes all that was visited so far, so that it takes neither memory nor time from what comes next. */
  async leave() {
    await Promise.all(this.#visits.splice(0).map((context) => context.close()));
  }

  /** A tab of no profile in particular, with nothing in it. */
  async tab() {
    const page = await this.#browser.newPage();
    page.setDefaultTimeout(PATIENCE);
    return page;
  }

  async stop() {
    await this.#browser.close();
    // Its helper processes may end, and write, a moment later.
    await rm(this.#folder, { recursive: true, force: true, maxRetries: 20 });
  }
}

/** A tab with the console. */
export class Visitor {
  /** The addresses of all requests, also of WebSockets. */
  urls = [];
  /** What the console of the browser complains of. */
  complaints = [];

  static async open(context, node, viewport, media) {
    const visitor = new Visitor();
    visitor.context = context;
    visitor.node = node;
    visitor.settings = [viewport, media];
    const page = (visitor.page = await context.newPage());
    page.setDefaultTimeout(PATIENCE);
    await page.setViewport(viewport);
    const features = Object.entries(media).map(([name, value]) => ({ name, value }));
    await page.emulateMediaFeatures(features);
    page.on("request", (request) => visitor.urls.push(request.url()));
    page.on("console", (message) => {
      if (["error", "warn"].includes(message.type())) visitor.complaints.push(message.text());
    });
    page.on("pageerror", (error) => visitor.complaints.push(String(error)));
    const client = await page.createCDPSession();
    await client.send("Network.enable");
    client.on("Network.webSocketCreated", ({ url }) => visitor.urls.push(url));
    await page.goto(`${node.url}/`);
    return visitor;
  }

  /** Another tab of the same profile: another device of whoever signs in there. */
  anotherTab() {
    return Visitor.open(this.context, this.node, ...this.settings);
  }

  async signIn(user, name = "") {
    await this.visible("#user-id");
    await this.page.type("#user-id", user);
    if (name) await this.page.type("#user-name", name);
    await this.press("#sign-in-user button");
    await this.connected();
    return this;
  }

  /** Waits for a connection over WebSocket. */
  connected() {
    return this.text("#connection-details", /^WebSocket · \d+ ms/);
  }

  /** Starts the chat with somebody by the field above the list. */
  async chatWith(user) {
    await this.page.type("#find-user", user);
    await this.page.keyboard.press("Enter");
    await this.visible("#chat");
    await this.until(() => document.querySelector("#log").ariaBusy === "false");
  }

  async write(text) {
    await this.page.type("#text", text);
    await this.page.keyboard.press("Enter");
  }

  /** Clicks on what may still have to come, or on a phone taps. */
  async press(selector) {
    const element = await this.visible(selector);
    await (this.settings[0].hasTouch ? element.tap() : element.click());
  }

  /** The element, once it is there and can be seen. */
  async visible(selector) {
    const found = this.until((selector) => {
      const element = document.querySelector(selector);
      return element?.checkVisibility({ visibilityProperty: true }) && element;
    }, selector);
    return (await told(found, `${selector} to be seen`)).asElement();
  }

  gone(selector) {
    const gone = this.until(
      (selector) => !document.querySelector(selector)?.checkVisibility({ visibilityProperty: true }),
      selector,
    );
    return told(gone, `${selector} to be gone`);
  }

  /** The text of an element, once it matches. */
  async text(selector, match) {
    const found = this.until(
      (selector, source, flags) => {
        const element = document.querySelector(selector);
        return element && new RegExp(source, flags).test(element.textContent) && { text: element.textContent };
      },
      selector,
      match.source,
      match.flags,
    );
    try {
      return (await (await found).jsonValue()).text;
    } catch (error) {
      const now = await this.page.$eval(selector, (element) => element.textContent).catch(() => "nothing");
      throw new Error(`${selector} holds "${now}", not ${match}`, { cause: error });
    }
  }

  /** Runs a function in the page. */
  ask(inPage, ...args) {
    return this.page.evaluate(inPage, ...args);
  }

  /** Waits until a function in the page is true: by the clock, as a tab behind another draws no frames to wait for. */
  until(inPage, ...args) {
    return this.page.waitForFunction(inPage, { polling: 50 }, ...args);
  }

  /** The messages that are shown: `[{ text, mine, mark }]`. */
  messages() {
    return this.page.$$eval("#messages .message", (elements) =>
      elements.map((element) => ({
        text: element.querySelector(".text").textContent,
        mine: element.classList.contains("mine"),
        mark: element.dataset.mark,
      })),
    );
  }

  /** Waits for a message with this text, and with this mark where one is given. */
  message(text, mark) {
    return within(
      this.until(
        (text, mark) =>
          [...document.querySelectorAll("#messages .message")].some(
            (element) => element.querySelector(".text").textContent === text && (!mark || element.dataset.mark === mark),
          ),
        text,
        mark,
      ),
      `the message "${text.slice(0, 40)}"${mark ? ` marked as ${mark}` : ""}`,
    );
  }

  async close() {
    await this.page.close();
  }
}
