// What the clients' tests run against: one node, or three behind a balancer in plain round robin (three-nodes/).

import { describe } from "node:test";
import { startNode } from "./carillon.js";

let isCluster = false;

/** What is started from now on is three nodes. */
export function useThreeNodes() {
  isCluster = true;
}

/** Starts what the tests run against; `env` adds to the environment of each node. */
export async function start({ env } = {}) {
  if (!isCluster) return startNode({ env });
  const { startCluster } = await import("./cluster.js");
  return startCluster({ env });
}

/** A `describe` of what one node's settings or limits do; it need not run a second time. */
export function describeOneNode(name, define) {
  if (!isCluster) describe(name, define);
}
