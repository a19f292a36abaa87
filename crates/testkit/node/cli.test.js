// The command line as a person meets it: what is shown, what is tried, what is misspelt, and the exit codes.

import assert from "node:assert/strict";
import { once } from "node:events";
import { mkdtemp, readdir, rm, writeFile } from "node:fs/promises";
import { createServer } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { run, SECRET, startNode } from "./carillon.js";
import { binary, freePort, ServerProcess } from "./process.js";

let folder;
before(async () => (folder = await mkdtemp(join(tmpdir(), "carillon-cli-"))));
after(() => rm(folder, { recursive: true, force: true }));

/** A settings file with this text. */
async function file(name, text) {
  const path = join(folder, name);
  await writeFile(path, text);
  return path;
}

const environment = (env = {}) => ({ JWT_SECRET: SECRET, CARILLON_BIND: "127.0.0.1", CARILLON_DATA_DIR: folder, ...env });

/** What `carillon check` finds: `{ code, checks: { [what]: "ok" | "warning" | "failed" }, settings: { [key]: … } }`. */
async function check(env, args = []) {
  const { code, output } = await run(["check", "--json", ...args], env);
  const report = JSON.parse(output);
  const checks = Object.fromEntries(report.checks.map(({ what, outcome }) => [what, outcome]));
  const settings = Object.fromEntries(report.settings.map((setting) => [setting.key, setting]));
  return { code, checks, settings, report, output };
}

describe("what is misspelt", () => {
  test("everything that is wrong is told at once, with its place, its value and what was meant", async () => {
    const config = await file("wrong.toml", "# A remark.\n\nprot = 4001\nlog_format = \"xml\"\njwt_secret = \"\"\n");
    const { code, output } = await run(["serve", "--config", config, "--recovery-window", "120"], {
      CARILLON_LIMTS: "off",
      CARILLON_SERVICE_HOST: "10.0.0.1",
      CARILLON_PORT_4000_TCP: "tcp://10.0.0.1:4000",
      MONGODB_URL: "mongodb://me:hunter2@db",
    });
    assert.equal(code, 2);
    assert.deepEqual(output.trimEnd().split("\n"), [
      "carillon: 5 settings are wrong:",
      `  \`prot\` in ${config}:3 is no setting of Carillon, did you mean port?`,
      "  CARILLON_LIMTS is no setting of Carillon, did you mean CARILLON_LIMITS?",
      `  \`log_format\` in ${config}:4 is \`xml\`, but it takes text or json`,
      `  \`jwt_secret\` in ${config}:5 is (hidden), but it takes a text that is not empty`,
      "  --recovery-window is `120`, but it takes a time with its unit, such as 500ms, 120s, 15m, 12h or 30d",
      "carillon: the variable MONGODB_URL is set, which nothing here reads; did you mean MONGODB_URI?",
    ]);
  });

  test("a misspelt flag and a misspelt command are answered with the right ones", async () => {
    const flag = await run(["serve", "--prot", "4001"]);
    assert.equal(flag.code, 2);
    assert.match(flag.output, /--prot.*[^]*--port/);
    const command = await run(["swerve"]);
    assert.equal(command.code, 2);
    assert.match(command.output, /serve/);
  });

  test("a file that is no TOML is refused with its line", async () => {
    const config = await file("broken.toml", "port = 1\nbind = \n");
    const { code, output } = await run(["check"], environment({ CARILLON_CONFIG: config }));
    assert.equal(code, 2);
    assert.match(output, /broken\.toml cannot be read: .*line 2/s);
  });
});

describe("carillon check", () => {
  test("shows every setting with its source and no secret, and exits with 0", async () => {
    const config = await file("good.toml", "drain_timeout = '20s'\nport = 1\n");
    const { code, output } = await run(["check", "--offline", "--config", config, "--port", "4001"], environment({
      MONGODB_URI: "mongodb://me:hunter2@db.invalid/chat",
      REDIS_URL: "redis://:hunter2@cache.invalid",
    }));
    assert.equal(code, 0, output);
    for (const line of [
      /^ {2}port +4001 {2}\[flag\]$/m,
      /^ {2}bind +127\.0\.0\.1 {2}\[environment\]$/m,
      /^ {2}drain_timeout +20s {2}\[.*good\.toml:1\]$/m,
      /^ {2}recovery_window +120s {2}\[default\]$/m,
      /^ {2}mongodb_uri +mongodb:\/\/me:\*\*\*@db\.invalid\/chat {2}\[environment\]$/m,
      /^ {2}redis_url +redis:\/\/\*\*\*@cache\.invalid {2}\[environment\]$/m,
      /^ {2}jwt_secret +\(hidden\) {2}\[environment\]$/m,
    ]) {
      assert.match(output, line);
    }
    assert.doesNotMatch(output, /hunter2|a secret of the tests/);
  });

  test("tries a node alone before its first start and leaves nothing behind", async () => {
    const data = join(folder, "not-yet");
    const there = await readdir(folder);
    const { code, checks, output } = await check(environment({ CARILLON_DATA_DIR: data, PORT: String(await freePort()) }));
    assert.equal(code, 0, output);
    assert.deepEqual([checks.port, checks["data folder"], checks.database], ["ok", "ok", "ok"]);
    assert.deepEqual(await readdir(folder), there);
  });

  test("a node that runs here is no fault, and does not notice", async () => {
    const internal = await freePort();
    const node = await startNode({ dataDir: folder, env: { CARILLON_INTERNAL_PORT: String(internal) }, healthPort: internal });
    try {
      const env = environment({ PORT: String(node.port), CARILLON_INTERNAL_PORT: String(internal) });
      const { code, checks, report, output } = await check(env);
      assert.equal(code, 0, output);
      assert.deepEqual([checks.port, checks["internal port"], checks.database], ["ok", "ok", "ok"]);
      const database = report.checks.find(({ what }) => what === "database");
      assert.match(database.found, /is whole, in use by a node, schema version \d+$/);
      await node.connect("alice");
    } finally {
      await node.stop();
    }
  });

  test("what would keep a node from running is a failure, with advice, and exit code 1", async () => {
    const other = createServer((_, response) => response.end("something else")).listen(0, "127.0.0.1");
    await once(other, "listening");
    try {
      const data = await mkdtemp(join(folder, "broken-"));
      await writeFile(join(data, "carillon.db"), "x".repeat(8192));
      const env = environment({ PORT: String(other.address().port), CARILLON_DATA_DIR: data });
      const { code, checks, report } = await check(env);
      assert.equal(code, 1);
      assert.deepEqual([checks.port, checks.database], ["failed", "failed"]);
      for (const { outcome, advice } of report.checks) assert.equal(outcome === "ok", advice === null);
    } finally {
      other.close();
      other.closeAllConnections();
    }
  });

  test("servers that are away are failures", async () => {
    const away = { MONGODB_URI: "mongodb://me:hunter2@127.0.0.1:1/?directConnection=true", REDIS_URL: "redis://127.0.0.1:1" };
    const { code, checks, output } = await check(environment({ ...away, PORT: "0" }));
    assert.equal(code, 1);
    assert.deepEqual([checks.MongoDB, checks.Redis], ["failed", "failed"]);
    assert.doesNotMatch(output, /hunter2/);
  });

  test("what is allowed and unwise is a warning", async () => {
    const env = environment({ PORT: "0", CARILLON_LIMITS: "off", SOCKET_PING_INTERVAL: "45000", JWT_SECRET: "short", REDIS_URI: "x" });
    const { code, checks, output } = await check(env, ["--offline"]);
    assert.equal(code, 0, output);
    for (const what of ["limits", "pings", "environment"]) assert.equal(checks[what], "warning", what);
    assert.match(output, /JWT_SECRET has 5 bytes/);
  });

  test("a development node is shown as one, and no secret is made by looking", async () => {
    const data = await mkdtemp(join(folder, "dev-"));
    const { code, settings } = await check({ CARILLON_DATA_DIR: data, PORT: "0" }, ["--dev"]);
    assert.equal(code, 0);
    assert.deepEqual([settings.bind.value, settings.bind.source], ["127.0.0.1", "--dev"]);
    assert.deepEqual(await readdir(data), []);
  });
});

describe("carillon healthcheck", () => {
  test("a ready node is 0, by its own settings or an address; none is 1", async () => {
    const internal = await freePort();
    const node = await startNode({ env: { CARILLON_INTERNAL_PORT: String(internal) }, healthPort: internal });
    try {
      const settings = { PORT: String(node.port), CARILLON_INTERNAL_PORT: String(internal) };
      // The node may have its key from elsewhere.
      assert.deepEqual(await run(["healthcheck"], settings), { code: 0, signal: null, output: "ready\n" });
      const byAddress = await run(["healthcheck", "--url", `http://127.0.0.1:${internal}`]);
      assert.equal(byAddress.code, 0, byAddress.output);
      const clients = await run(["healthcheck", "--url", node.url]);
      assert.equal(clients.code, 1);
      assert.match(clients.output, /\/readyz answers 404/);
    } finally {
      await node.stop();
    }
    const gone = await run(["healthcheck", "--url", `http://127.0.0.1:${internal}`]);
    assert.equal(gone.code, 1);
    assert.match(gone.output, /does not answer/);
  });

  test("a node that waits for its servers is not ready", async () => {
    const port = await freePort();
    const env = environment({ PORT: String(port), MONGODB_URI: "mongodb://127.0.0.1:1/?directConnection=true" });
    const node = new ServerProcess(binary("carillon", "CARILLON_BIN"), ["serve"], { PATH: process.env.PATH, ...env });
    try {
      await node.answers(`http://127.0.0.1:${port}/livez`, 200);
      const { code, output } = await run(["healthcheck"], { PORT: String(port) });
      assert.equal(code, 1);
      assert.match(output, /answers 503: .*The node is starting/);
    } finally {
      await node.stop();
    }
  });

  test("who takes the connection and says nothing is not waited for", async () => {
    const silent = createServer(() => {}).listen(0, "127.0.0.1");
    await once(silent, "listening");
    try {
      const { code, output } = await run(["healthcheck", "--timeout", "200ms", "--url", `http://127.0.0.1:${silent.address().port}`]);
      assert.equal(code, 1);
      assert.match(output, /does not answer: timed out/);
    } finally {
      silent.close();
      silent.closeAllConnections();
    }
  });
});

describe("what is printed for people and shells", () => {
  test("the help names every command and the exit codes", async () => {
    const { code, output } = await run(["--help"]);
    assert.equal(code, 0);
    for (const command of ["serve", "token", "check", "healthcheck", "settings", "completions"]) {
      assert.match(output, new RegExp(`^  ${command} +\\S`, "m"));
    }
    assert.match(output, /Exit codes:\n {2}0 /);
  });

  test("the printed settings file is one that a node takes", async () => {
    const { output } = await run(["settings", "toml"]);
    const config = await file("carillon.toml", output.replace(/^#(bind|port) = /gm, "$1 = "));
    const { code, settings } = await check(environment({ CARILLON_BIND: "", CARILLON_CONFIG: config }), ["--offline"]);
    assert.equal(code, 0);
    assert.match(settings.port.source, /carillon\.toml:\d+$/);
  });

  test("bash takes its completions", async () => {
    const { code, output } = await run(["completions", "bash"]);
    assert.equal(code, 0);
    assert.match(output, /complete -F _carillon .*carillon/);
    assert.equal((await run(["completions", "cmd.exe"])).code, 2);
  });
});
