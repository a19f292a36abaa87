// REST: what a node stores.

/** An answer that is no success. `status` is 0 where there was none. */
export class ApiError extends Error {
  constructor(status, code, message) {
    super(message);
    this.status = status;
    this.code = code;
  }
}

const part = encodeURIComponent;

/** A request; the body of its answer. */
async function request(method, path, { token, json } = {}) {
  const headers = {};
  if (token !== undefined) headers.authorization = `Bearer ${token}`;
  if (json !== undefined) headers["content-type"] = "application/json";
  let response, body;
  try {
    response = await fetch(path, { method, headers, body: json === undefined ? undefined : JSON.stringify(json) });
    body = await response.json();
  } catch {
    throw new ApiError(response?.status ?? 0, "unavailable", "The node cannot be reached");
  }
  if (!response.ok) throw new ApiError(response.status, body.code, body.message);
  return body;
}

/** What kind of node this is: `{ development, userClaim, node? }`. */
export const nodeInfo = () => request("GET", "/console/node.json");

/** A token for a user of a development node. */
export const developmentToken = async (userId) => {
  const { token } = await request("POST", "/dev/token", { json: { userId } });
  return token;
};

/** The requests of one user; `token()` gives the present token. */
export class Api {
  #user;
  #token;

  constructor(user, token) {
    this.#user = user;
    this.#token = token;
  }

  #call(method, path) {
    return request(method, path, { token: this.#token() });
  }

  /** The chats, latest activity first. */
  async chats() {
    const { chats } = await this.#call("GET", `/api/chat/user/${part(this.#user)}/chats`);
    return chats;
  }

  /** The newest messages, oldest first, and whether there are older ones. */
  async newest(chatboxId, limit) {
    const page = await this.#call("GET", `/api/chat/messages/${part(chatboxId)}?page=1&limit=${limit}`);
    return { messages: page.messages.reverse(), hasOlder: page.hasMore === true };
  }

  /** Messages with numbers above `seq`, oldest first: `{ messages, hasMore }`. */
  after(chatboxId, seq, limit) {
    return this.#call("GET", `/api/chat/messages/${part(chatboxId)}?afterSeq=${seq}&limit=${limit}`);
  }

  /** Marks all that waits in a chat as read. */
  markChatRead(chatboxId) {
    return this.#call("PATCH", `/api/chat/chatbox/${part(chatboxId)}/mark-read/${part(this.#user)}`);
  }

  /** The unread notifications, oldest first. */
  async notifications() {
    const { notifications } = await this.#call("GET", `/api/notifications/user/${part(this.#user)}`);
    return notifications;
  }

  /** `{ totalNotifications, unreadCount, readCount, activeChatboxes }`. */
  async statistics() {
    const { stats } = await this.#call("GET", `/api/notifications/user/${part(this.#user)}/stats`);
    return stats;
  }

  markNotificationRead(chatboxId, id) {
    return this.#call("PATCH", `/api/notifications/read/${part(chatboxId)}/${part(id)}`);
  }

  markNotificationsRead(chatboxId) {
    return this.#call("PATCH", `/api/notifications/read-all/${part(chatboxId)}/${part(this.#user)}`);
  }

  deleteNotification(chatboxId, id) {
    return this.#call("DELETE", `/api/notifications/${part(chatboxId)}/${part(id)}`);
  }
}
