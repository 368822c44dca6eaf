// README's two commands as newcomers give them: a fresh clone, an empty cache, and the npm and Node that they happen to
// have.
//
//   npm run suite:install -- [--npm 10.8.2]… [--node 22]… [--all-tests]
//
// Each npm is tried with each Node; with this machine's own where none is named. The last steps are about hosts that
// give less.
import assert from "node:assert/strict";
import { execFile, execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { chmodSync, existsSync, mkdirSync, mkdtempDisposableSync } from "node:fs";
import { tmpdir } from "node:os";
import { basename, join, resolve } from "node:path";
import { createInterface } from "node:readline";
import { parseArgs, promisify } from "node:util";
import { createReport } from "./support/report.ts";

const root = resolve(import.meta.dirname, "../..");
const timeoutMs = 15 * 60 * 1000;
const packagedNode = basename(resolve(process.execPath, "../.."));
const startTimeoutMs = 60_000;
const nobody = 65534;

const { values } = parseArgs({
  options: {
    npm: { type: "string", multiple: true, default: ["10.8.2"] },
    node: { type: "string", multiple: true, default: [] },
    "all-tests": { type: "boolean", default: false },
  },
});
/** A pure function, worker threads and processes. CI has run all tests with its own npm by then. */
const tests = values["all-tests"] ? [] : ["authority/key.test", "sqlite/writer-thread", "test/launch"];

/** What a newcomer has. */
type Host = { readonly name: string; readonly path: string };
type Checkout = { readonly directory: string; readonly home: string; readonly path: string };

const report = createReport("install");
// With a space, as many a user's folder has.
using scratch = mkdtempDisposableSync(join(tmpdir(), "token authority "));
chmodSync(scratch.path, 0o755);
const machine: Checkout = { directory: scratch.path, home: process.env.HOME ?? "", path: pathOfThisMachine() };

const hosts: Host[] = [];
for (const node of values.node.length === 0 ? [null] : values.node) {
  for (const npm of values.npm) {
    const host = await report.step(`install npm ${npm}, Node ${node ?? "of this machine"}`, () =>
      prepareHost(npm, node),
    );
    hosts.push(...(host === null ? [] : [host]));
  }
}
for (const host of hosts) {
  using checkout = freshCheckout(host);
  await report.step(`${host.name}: npm ci && npm start`, async () => {
    await run(checkout, ["npm", "ci"]);
    await useServer(checkout, ["npm", "start"]);
  });
  await report.step(`${host.name}: npm ci && npm test`, async () => {
    await run(checkout, ["npm", "ci"]);
    await run(checkout, ["npm", "test", "--", ...tests]);
  });
}
for (const host of hosts.slice(0, 1)) {
  await report.step(`${host.name}: npm ci --omit=dev, npm start`, () => startWithoutTools(host));
  if (process.getuid?.() === 0) {
    await report.step(`${host.name}: both commands, by another user, umask 077`, () => tryAsAnotherUser(host));
    await report.step(`${host.name}: npm start, by another user, read-only, no network`, () => startReadOnly(host));
  } else {
    console.log("skip another user, a read-only checkout and no network: only root can try them");
  }
}
report.close();

function pathOfThisMachine(): string {
  // Without what `npm run` and the launcher have put before it.
  return (process.env.PATH ?? "")
    .split(":")
    .filter((directory) => !directory.includes("node_modules"))
    .join(":");
}

/** Installs this npm, and this Node unless it is null. */
async function prepareHost(npm: string, node: string | null): Promise<Host> {
  const nodes = node === null ? "" : `${join(await install(packagedNode, node), "bin")}:`;
  const path = `${join(await install("npm", npm), "../.bin")}:${nodes}${machine.path}`;
  const nodeVersion = await run({ ...machine, path }, ["node", "-p", "process.versions.node"]);
  const npmVersion = await run({ ...machine, path }, ["npm", "--version"]);
  return { name: `npm ${npmVersion}, Node ${nodeVersion}`, path };
}

/** Returns where the package lies. */
async function install(name: string, version: string): Promise<string> {
  const prefix = join(scratch.path, `${name}-${version}`);
  if (!existsSync(prefix)) {
    mkdirSync(prefix);
    await run(machine, ["npm", "install", "--prefix", prefix, `${name}@${version}`]);
  }
  return join(prefix, "node_modules", name);
}

async function startWithoutTools(host: Host): Promise<void> {
  using checkout = freshCheckout(host);
  await run(checkout, ["npm", "ci", "--omit=dev"]);
  await useServer(checkout, ["npm", "start"]);
}

async function tryAsAnotherUser(host: Host): Promise<void> {
  using checkout = freshCheckout(host);
  await run(checkout, ["chown", "-R", `${nobody}:${nobody}`, checkout.directory, checkout.home]);
  const withUmask = [...asAnotherUser(), "sh", "-c", 'umask 077 && exec "$@"', "sh"];
  await run(checkout, [...withUmask, "npm", "ci"]);
  await useServer(checkout, [...withUmask, "npm", "start"]);
  await run(checkout, [...withUmask, "npm", "test", "--", ...tests]);
}

/** Root has installed, and the user who starts it may only read. */
async function startReadOnly(host: Host): Promise<void> {
  using checkout = freshCheckout(host);
  await run(checkout, ["npm", "ci", "--omit=dev"]);
  await run(checkout, ["chown", "-R", `${nobody}:${nobody}`, checkout.home]);
  await useServer(checkout, ["unshare", "--net", ...asAnotherUser(), "npm", "start"], {
    TOKEN_AUTHORITY_DATA_DIR: join(checkout.home, "data"),
    TOKEN_AUTHORITY_LISTEN: `unix:${join(checkout.home, "socket")}`,
  });
}

function asAnotherUser(): readonly string[] {
  return ["setpriv", `--reuid=${nobody}`, `--regid=${nobody}`, "--clear-groups", "--no-new-privs"];
}

/** What is committed here, as `git clone` gives it, and a home without a cache. Gone once it is disposed. */
function freshCheckout({ path }: Host): Disposable & Checkout {
  const parent = mkdtempDisposableSync(join(scratch.path, "newcomer "));
  chmodSync(parent.path, 0o755);
  const [directory, home] = [join(parent.path, "token-authority"), join(parent.path, "home")];
  execFileSync("git", ["clone", "--quiet", root, directory]);
  mkdirSync(home);
  return { directory, home, path, [Symbol.dispose]: () => parent[Symbol.dispose]() };
}

function environmentOf({ home, path }: Checkout): NodeJS.ProcessEnv {
  // `npm run` has told this process about itself and its own project.
  const isInherited = (name: string) =>
    name === "npm_config_registry" || !/^(npm_|NODE$|INIT_CWD$|TOKEN_AUTHORITY_)/.test(name);
  return {
    ...Object.fromEntries(Object.entries(process.env).filter(([name]) => isInherited(name))),
    HOME: home,
    PATH: path,
  };
}

/** Returns what the command printed. Rejects, with all of that, when the command fails. */
async function run(checkout: Checkout, [program = "", ...args]: readonly string[]): Promise<string> {
  const options = { cwd: checkout.directory, env: environmentOf(checkout), timeout: timeoutMs, maxBuffer: 2 ** 26 };
  const { stdout } = await promisify(execFile)(program, args, options);
  return stdout.trim();
}

/** Starts the server by the command, makes a key and authenticates it, and ends the server as a Ctrl-C does. */
async function useServer(
  checkout: Checkout,
  [program = "", ...args]: readonly string[],
  settings: Readonly<Record<string, string>> = {},
): Promise<void> {
  const ports = { TOKEN_AUTHORITY_LISTEN: "127.0.0.1:0", TOKEN_AUTHORITY_ADMIN_LISTEN: "off" };
  const env = { ...environmentOf(checkout), ...ports, ...settings };
  const child = spawn(program, args, {
    cwd: checkout.directory,
    env,
    stdio: ["ignore", "pipe", "pipe"],
    detached: true,
  });
  // As a terminal does it: a signal to npm alone ends the shell that npm has started, and not the server.
  const signal = (name: NodeJS.Signals) => process.kill(-Number(child.pid), name);
  const deadline = setTimeout(signal, startTimeoutMs, "SIGKILL");
  try {
    const ended = once(child, "close");
    const lines = [child.stdout, child.stderr].map((output) => createInterface({ input: output }));
    const said: string[] = [];
    const address = await new Promise<string>((found, missing) => {
      for (const output of lines) {
        output.on("line", (line) => {
          said.push(line);
          const [, address] = /"address":"([^"]+)"/.exec(line) ?? [];
          if (address !== undefined) {
            found(address);
          }
        });
      }
      ended.then(() => missing(new Error(`it did not start:\n${said.join("\n")}`)), missing);
    });
    const request = { account: "acct_1", name: "Till", type: "TOKEN_TYPE_SECRET" };
    const { key } = await call(checkout, address, "Create", request);
    const verdict = await call(checkout, address, "Authenticate", { key });
    assert.equal(verdict.principal?.account, request.account, JSON.stringify(verdict));
    signal("SIGINT");
    await ended;
    assert.match(said.join("\n"), /"exitCode":0,"msg":"stopped"/);
  } finally {
    clearTimeout(deadline);
    if (child.exitCode === null && child.signalCode === null) {
      signal("SIGKILL");
    }
  }
}

/** A call over Connect's JSON, which curl speaks. */
async function call(checkout: Checkout, address: string, rpc: string, request: object) {
  const socket = address.startsWith("unix:") ? ["--unix-socket", address.slice("unix:".length)] : [];
  const host = socket.length === 0 ? address : "localhost";
  return JSON.parse(
    await run(checkout, [
      ...[
        "curl",
        "--silent",
        "--show-error",
        "--noproxy",
        "*",
        ...socket,
        "--header",
        "content-type: application/json",
      ],
      ...["--data", JSON.stringify(request), `http://${host}/casapay.token.v1.TokenService/${rpc}`],
    ]),
  );
}
