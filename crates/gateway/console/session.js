// Who is signed in. The token lies in this tab's sessionStorage and goes out in headers and handshakes alone.

import { developmentToken } from "./api.js";

const KEY = "carillon.session";

/** `{ user, name, token, isDevelopment }`, or nothing. */
export function load() {
  try {
    return JSON.parse(sessionStorage.getItem(KEY)) ?? undefined;
  } catch {
    return undefined;
  }
}

export const save = (session) => sessionStorage.setItem(KEY, JSON.stringify(session));
export const clear = () => sessionStorage.removeItem(KEY);

/** Signs in as a user of a development node. */
export async function signIn(user, name) {
  const token = await developmentToken(user);
  return keep({ user, name: name || user, token, isDevelopment: true });
}

/** Signs in by a token from elsewhere. Whether it is good, the node says. */
export function useToken(token, name, userClaim) {
  const claims = claimsOf(token);
  const user = claims?.[userClaim] ?? claims?.sub;
  if (user === undefined || user === null || user === "") {
    throw new Error("This is no token that names a user.");
  }
  return keep({ user: String(user), name: name || String(user), token, isDevelopment: false });
}

/** The same session under a fresh token. */
export async function renew(session) {
  return keep({ ...session, token: await developmentToken(session.user) });
}

/** When a token expires, in milliseconds since 1970; never, where it does not say. */
export function expiryOf(token) {
  const { exp } = claimsOf(token) ?? {};
  return typeof exp === "number" ? exp * 1_000 : Infinity;
}

function keep(session) {
  save(session);
  return session;
}

/** What a JSON Web Token says, unverified. */
function claimsOf(token) {
  try {
    const base64 = token.split(".")[1].replaceAll("-", "+").replaceAll("_", "/");
    const bytes = Uint8Array.from(atob(base64), (character) => character.charCodeAt(0));
    return JSON.parse(new TextDecoder().decode(bytes));
  } catch {
    return undefined;
  }
}
