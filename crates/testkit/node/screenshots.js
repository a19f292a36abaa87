// Makes the pictures of the README: `node screenshots.js <folder>`; `make screenshots` calls it.

import { join } from "node:path";
import { startBrowser, PHONE } from "./browser.js";
import { startNode } from "./carillon.js";

const [folder] = process.argv.slice(2);
const [node, browser] = await Promise.all([startNode({ args: ["--dev"] }), startBrowser()]);
try {
  const alice = await (await browser.visit(node)).signIn("alice", "Alice Moreau");
  const bob = await browser.visit(node, { viewport: PHONE, media: { "prefers-color-scheme": "dark" } });
  await bob.signIn("bob", "Bob Nakamura");

  const others = [
    ["charlotte", "Charlotte Weiss", ["The figures are in the shared folder."]],
    ["omar", "عمر الخطيب", ["مرحبا، هل اجتماع الغد ما زال قائماً؟"]],
    ["dimitri", "Dimitri Vale", Array.from({ length: 12 }, (_, index) => `Build ${index + 201} is through.`)],
  ];
  for (const [user, senderName, texts] of others) {
    const client = await node.connect(user);
    for (const text of texts) await client.send("alice", text, { senderName, receiverName: "Alice Moreau" });
  }

  const say = async (from, to, text) => {
    await from.page.type("#text", text);
    await from.press("#send");
    await to.message(text);
  };
  await alice.chatWith("bob");
  await say(alice, alice, "Good morning! Did the release go out?");
  await bob.press("#chats button");
  await say(bob, alice, "It did, at seven. Three nodes, one after the other, and not one message lost.");
  await say(alice, bob, "I was on the train, in and out of tunnels.");
  await say(alice, bob, "Everything I wrote there went out once, in order.");
  await say(bob, alice, "As it should :) How does it look on the new screen?");
  await say(alice, bob, "Sharp. I will send you a picture of it.");
  await alice.message("Sharp. I will send you a picture of it.", "read");
  await bob.page.type("#text", "I am cur");
  await alice.text("#typing", /typing/);
  await alice.page.screenshot({ path: join(folder, "console-desktop.png") });
  await bob.page.screenshot({ path: join(folder, "console-phone.png") });
} finally {
  await browser.stop();
  await node.stop();
}
