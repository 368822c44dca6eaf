import { type ChildProcessByStdio, spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { chmodSync, copyFileSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import type { Readable } from "node:stream";
import { text } from "node:stream/consumers";
import { describe, expect, it } from "vitest";
import { temporaryDirectory } from "./support/authority-process.ts";

const root = resolve(import.meta.dirname, "..");

/** What Node must do before it reads the launcher. */
const asNode20 = `Object.defineProperty(process.versions, "node", { value: "20.20.2" }); delete process.execve;`;

type Launched = ChildProcessByStdio<null, Readable, Readable>;

function launch(args: readonly string[], { before = "", from = root } = {}): Launched {
  const preload = ["--import", `data:text/javascript,${encodeURIComponent(before)}`];
  return spawn(process.execPath, [...preload, join(from, "launch.js"), ...args], {
    stdio: ["ignore", "pipe", "pipe"],
    // A process group of its own, as a shell gives it.
    detached: true,
  });
}

async function outcomeOf(child: Launched) {
  const [[code, signal], stdout, stderr] = await Promise.all([
    once(child, "close"),
    text(child.stdout),
    text(child.stderr),
  ]);
  return { code, signal, stdout, stderr };
}

describe.each([
  { way: "becoming the program", before: "" },
  { way: "with a child, as Node 20 must", before: asNode20 },
])("$way", ({ before }) => {
  it("gives the program its arguments, and its exit code is the program's", async () => {
    const program = "console.log(process.version, process.argv.slice(1)); process.exitCode = 7";
    expect(await outcomeOf(launch(["-e", program, "a b", "", "--flag"], { before }))).toEqual({
      code: 7,
      signal: null,
      stdout: `${process.version} [ 'a b', '', '--flag' ]\n`,
      stderr: "",
    });
  });

  it.each(["SIGTERM", "SIGINT", "SIGHUP"] as const)(
    "passes on one %s, also a terminal's, which all have",
    async (signal) => {
      const program = `
      for (const name of ["SIGTERM", "SIGINT", "SIGHUP"]) {
        process.on(name, () => console.log(name));
      }
      process.on("SIGUSR2", () => process.exit());
      setInterval(() => {}, 1000);
      console.log("ready");`;
      const child = launch(["-e", program], { before });
      const outcome = outcomeOf(child);
      await once(child.stdout, "data");
      process.kill(-Number(child.pid), signal);
      await once(child.stdout, "data");
      child.kill("SIGUSR2");
      expect(await outcome).toMatchObject({ code: 0, stdout: `ready\n${signal}\n` });
    },
  );

  it.each(["SIGTERM", "SIGKILL"] as const)("ends by the %s that ended the program", async (signal) => {
    const program = `process.kill(process.pid, "${signal}"); setInterval(() => {}, 1000);`;
    expect(await outcomeOf(launch(["-e", program], { before }))).toMatchObject({ code: null, signal });
  });

  it("leaves no program behind after a kill -9", async (context) => {
    context.skip(before !== "" && spawnSync("setpriv", ["--version"]).status !== 0, "needs util-linux' setpriv");
    const child = launch(["-e", "setInterval(() => {}, 1000); console.log('ready')"], { before });
    // It has ended once nobody holds its output open.
    const outcome = outcomeOf(child);
    await once(child.stdout, "data");
    child.kill("SIGKILL");
    expect(await outcome).toMatchObject({ signal: "SIGKILL" });
  });

  it("shows the packaged Node to what the program starts as `node`", async () => {
    const program =
      "console.log(require('node:child_process').execSync('node -p process.execPath', { encoding: 'utf8' }))";
    expect((await outcomeOf(launch(["-e", program], { before }))).stdout.trim()).toBe(process.execPath);
  });
});

describe("without a packaged Node that runs", () => {
  const { optionalDependencies } = JSON.parse(readFileSync(join(root, "package.json"), "utf8"));
  const name = process.execPath.split("/").at(-3) ?? "";

  /** A checkout in which nothing is installed. */
  function bareCheckout() {
    const directory = temporaryDirectory();
    copyFileSync(join(root, "launch.js"), join(directory.path, "launch.js"));
    writeFileSync(join(directory.path, "package.json"), JSON.stringify({ type: "module", optionalDependencies }));
    return directory;
  }

  it("says in one line which package is missing, and where", async () => {
    using checkout = bareCheckout();
    const { code, stderr } = await outcomeOf(launch(["-e", ""], { before: asNode20, from: checkout.path }));
    expect(code).toBe(1);
    expect(stderr).toBe(
      `needs Node 26, and this is Node 20.20.2; the package ${name} is not in ${checkout.path}/node_modules: ` +
        "run `npm ci`, with optional packages\n",
    );
  });

  it("says in one line that a package's program does not run", async () => {
    using checkout = bareCheckout();
    const directory = join(checkout.path, "node_modules", name);
    mkdirSync(join(directory, "bin"), { recursive: true });
    writeFileSync(join(directory, "package.json"), JSON.stringify({ bin: { node: "bin/node" } }));
    const program = join(directory, "bin/node");
    writeFileSync(program, "#!/bin/sh\necho 'no such libc' >&2\necho more >&2\nexit 3\n");
    chmodSync(program, 0o755);
    const { code, stderr } = await outcomeOf(launch(["-e", ""], { before: asNode20, from: checkout.path }));
    expect(code).toBe(1);
    expect(stderr).toBe(`needs Node 26, and this is Node 20.20.2; ${program} does not run here: no such libc\n`);
  });

  it("takes the Node that runs it when that is new enough", async () => {
    using checkout = bareCheckout();
    const outcome = await outcomeOf(launch(["-p", "process.execPath"], { from: checkout.path }));
    expect(outcome).toMatchObject({ code: 0, stdout: `${process.execPath}\n`, stderr: "" });
  });
});

it("is what every npm script begins with, but for the one that packs the contract with git", () => {
  const { contract, ...scripts } = JSON.parse(readFileSync(join(root, "package.json"), "utf8")).scripts;
  expect(contract).toMatch(/^git archive /);
  expect(Object.values<string>(scripts).filter((script) => !script.startsWith("node launch.js "))).toEqual([]);
});
