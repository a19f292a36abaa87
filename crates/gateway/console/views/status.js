// How the connection stands: at the foot of the list, and over the open chat where there is none.

import { byId, setText } from "../dom.js";
import { plural } from "../format.js";

const STATES = {
  idle: "Disconnected",
  connecting: "Connecting…",
  connected: "Connected",
  waiting: "Offline, trying again…",
  refused: "Refused",
  ended: "Ended by the node",
};
const TRANSPORTS = { polling: "HTTP long-polling", websocket: "WebSocket" };

/** `node()` names the node in development, elsewhere it gives an empty text. */
export function statusView(client, node) {
  const footer = byId("connection");
  const offline = byId("offline");
  const show = () => {
    const { phase, transport, latencyMs, recovered, reason, session } = client.status;
    const isConnected = phase === "connected";
    footer.dataset.phase = phase;
    setText(byId("connection-state"), STATES[phase]);
    const details = isConnected
      ? [TRANSPORTS[transport], latencyMs !== undefined && `${latencyMs} ms`, recovered ? "recovered" : "new session"]
      : [reason];
    setText(byId("connection-details"), details.filter(Boolean).join(" · "));
    setText(byId("connection-node"), node());

    const waiting = client.outbox.entries.length;
    // The first connection is not a loss.
    const isLost = !isConnected && (phase !== "connecting" || session > 0);
    offline.dataset.shown = isLost;
    const queue = waiting > 0 ? `${plural(waiting, "message")} will be sent` : "Messages will be sent";
    setText(offline, isLost ? `You are offline. ${queue} once the connection is back.` : "");
  };
  const stops = [client.connection.watch(show), client.outbox.watch(show)];
  return () => stops.forEach((stop) => stop());
}
