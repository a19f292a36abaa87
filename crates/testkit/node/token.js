// Mints JSON Web Tokens without a library, good ones and bad ones.

import { createHmac, generateKeyPairSync, sign as signAsymmetric } from "node:crypto";

const encode = (value) => Buffer.from(JSON.stringify(value)).toString("base64url");

/** Seconds since 1970, `offset` seconds from now, as `exp` and `nbf` count. */
export const seconds = (offset = 0) => Math.floor(Date.now() / 1000) + offset;

/** An HS256 token; `header` may overrule or add header fields, `hash` the digest. */
export function mint(claims, secret, { header = {}, hash = "sha256" } = {}) {
  const body = `${encode({ alg: "HS256", typ: "JWT", ...header })}.${encode(claims)}`;
  return `${body}.${createHmac(hash, secret).update(body).digest("base64url")}`;
}

/** A token with `alg: none` and an empty signature. */
export function unsigned(claims) {
  return `${encode({ alg: "none", typ: "JWT" })}.${encode(claims)}.`;
}

/** A token signed by a private key: RS256, ES256 or EdDSA. `header` adds to its header. */
export function mintAsymmetric(claims, alg, key, header = {}) {
  const body = `${encode({ alg, typ: "JWT", ...header })}.${encode(claims)}`;
  const digest = alg === "EdDSA" ? null : "sha256";
  const signature = signAsymmetric(digest, Buffer.from(body), { key, dsaEncoding: "ieee-p1363" });
  return `${body}.${signature.toString("base64url")}`;
}

/** A new pair of P-256: `jwk`, its member of a key set, and `sign(user)`, a token that names it. */
export function keyPair(kid) {
  const { publicKey, privateKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
  const jwk = { ...publicKey.export({ format: "jwk" }), kid, alg: "ES256", use: "sig" };
  return { jwk, sign: (user) => mintAsymmetric({ userId: user }, "ES256", privateKey, { kid }) };
}
