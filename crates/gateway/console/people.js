// Who is online, and since when somebody is not.

import { Observable } from "./observable.js";

export class People extends Observable {
  #me;
  /** By user id: `{ isOnline, at }`, `at` being the time of the last change. */
  #known = new Map();

  constructor(me) {
    super();
    this.#me = me;
  }

  /** The list of `getOnlineUsers`: whoever is not on it is offline. */
  replace(users) {
    for (const person of this.#known.values()) person.isOnline = false;
    for (const { userId, lastSeen } of users) this.#known.set(userId, { isOnline: true, at: lastSeen });
    this.changed();
  }

  /** A `userStatusChange`. */
  change({ userId, status, timestamp }) {
    this.#known.set(userId, { isOnline: status === "online", at: timestamp });
    this.changed();
  }

  isOnline(user) {
    return this.#known.get(user)?.isOnline === true;
  }

  /** When somebody who is offline left, where this tab has seen it. */
  leftAt(user) {
    const person = this.#known.get(user);
    return person && !person.isOnline ? person.at : undefined;
  }

  /** The ids of the others who are online, sorted. */
  online() {
    const ids = [...this.#known].filter(([user, { isOnline }]) => isOnline && user !== this.#me).map(([user]) => user);
    return ids.sort((a, b) => a.localeCompare(b));
  }
}
