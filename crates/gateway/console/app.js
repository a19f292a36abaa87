// The page: signed out or signed in, and what the browser tells it.

import { nodeInfo } from "./api.js";
import { Client } from "./client.js";
import { byId, placeIcons } from "./dom.js";
import { plural } from "./format.js";
import { clear, expiryOf, load, renew } from "./session.js";
import { composerView } from "./views/composer.js";
import { conversationView } from "./views/conversation.js";
import { inboxView } from "./views/inbox.js";
import { announce, silence, toast } from "./views/notices.js";
import { sidebarView } from "./views/sidebar.js";
import { signInView } from "./views/sign-in.js";
import { statusView } from "./views/status.js";

/** A development token is renewed so long before its end. */
const RENEW_BEFORE_MS = 60_000;
/** The longest that a timer takes. */
const LONGEST_TIMER_MS = 2 ** 31 - 1;
const RETRY_MS = 2_000;

const page = byId("console");
const narrow = matchMedia("(max-width: 720px)");

let node = await nodeOf();
let running;

placeIcons();
const signedOut = signInView(node, start);
const session = load();
if (session) start(session);
else signedOut.show();

/** What the node says of itself; a node that starts is asked again. */
async function nodeOf() {
  for (;;) {
    try {
      return await nodeInfo();
    } catch {
      await new Promise((resolve) => setTimeout(resolve, RETRY_MS));
    }
  }
}

function start(session) {
  signedOut.hide();
  page.hidden = false;
  running = run(session);
}

function run(session) {
  let hasRenewed = false;
  let renewal;
  const client = new Client({
    session,
    onRefused: refused,
    onAlert: toast,
    onMessage: (chat, { message }) => chat === client.open && announce(chat.name, message),
  });

  /** The session ends where the node does not take its token; a development node may give another one first. */
  async function refused(reason) {
    if (session.isDevelopment && !hasRenewed) {
      hasRenewed = true;
      return renewNow().catch(() => end(reason));
    }
    end(`You were signed out: ${reason}.`);
  }

  async function renewNow() {
    session = await renew(session);
    await client.renew(session);
    renewInTime();
  }

  function renewInTime() {
    clearTimeout(renewal);
    const left = expiryOf(session.token) - Date.now() - RENEW_BEFORE_MS;
    if (session.isDevelopment && left < LONGEST_TIMER_MS) renewal = setTimeout(() => renewNow().catch(() => {}), Math.max(left, 0));
  }

  function select(user) {
    if (user === client.open?.other) return showPane(user);
    const entry = { chat: user };
    // On a phone the way back leads to the list; from chat to chat it need not grow.
    if (history.state?.chat === undefined) history.pushState(entry, "");
    else history.replaceState(entry, "");
    showPane(user);
  }

  function showPane(user) {
    client.select(user);
    page.dataset.pane = user === undefined ? "list" : "chat";
    if (user === undefined) return;
    // After the views have followed: nothing takes the focus that is not there yet.
    queueMicrotask(() => byId(narrow.matches ? "chat-name" : "text").focus());
  }

  function moved() {
    const left = client.open?.other;
    showPane(history.state?.chat);
    if (!client.open) sidebar.focus(left);
  }

  function end(reason) {
    if (running?.client !== client) return;
    running = undefined;
    clearTimeout(renewal);
    listening.abort();
    client.close();
    sidebar.end();
    stops.forEach((stop) => stop());
    silence();
    clear();
    history.replaceState(null, "");
    page.hidden = true;
    document.title = "Carillon";
    signedOut.show(reason);
  }

  function signOut() {
    const waiting = client.outbox.entries.length;
    if (waiting > 0 && !confirm(`${plural(waiting, "unsent message")} will be lost. Sign out?`)) return;
    client.outbox.clear();
    end();
  }

  const listening = new AbortController();
  const { signal } = listening;
  const sidebar = sidebarView(client, select);
  const stops = [
    conversationView(client),
    composerView(client),
    inboxView(client, select),
    statusView(client, () => (node.node ? `Node ${node.node}` : "")),
    followNode(client),
  ];
  byId("sign-out").addEventListener("click", signOut, { signal });
  byId("back").addEventListener("click", () => history.back(), { signal });
  addEventListener("popstate", moved, { signal });
  addEventListener("online", () => client.connect(), { signal });
  addEventListener("pagehide", () => client.disconnect(), { signal });
  addEventListener("pageshow", ({ persisted }) => persisted && client.connect(), { signal });
  // Other devices may have read or sent something that no event tells of.
  addEventListener("focus", () => client.refresh(), { signal });

  client.connect();
  renewInTime();
  byId("me").focus();
  showPane(history.state?.chat);
  return { client };
}

/** Asks with each connection which node it is: after a restart it may be another. */
function followNode(client) {
  let asked = 0;
  return client.connection.watch(async () => {
    const { phase, session } = client.status;
    if (!node.development || phase !== "connected" || session === asked) return;
    asked = session;
    node = await nodeInfo().catch(() => node);
    client.connection.changed();
  });
}
