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
let project: string;

beforeAll(() => {
  project = mkdtempSync(join(tmpdir(), "token-authority-package-"));
  run(folder, "npm", "run", "build");
  const [{ filename }] = JSON.parse(run(folder, "npm", "pack", "--json", "--pack-destination", project));
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
  );
  const [, example] = /```ts\n([\s\S]+?)```/.exec(readFileSync(join(folder, "README.md"), "utf8")) ?? [];
  writeFileSync(join(project, "example.ts"), example ?? "");
}, 180_000);

afterAll(() => {
  rmSync(project, { recursive: true, force: true });
});

function run(cwd: string, program: string, ...args: readonly string[]): string {
  return execFileSync(program, args, { cwd, encoding: "utf8", stdio: ["ignore", "pipe", "inherit"] });
}

it("holds JavaScript and types, and no sources", () => {
  const installed = join(project, "node_modules/@casapay/token-authority");
  expect(existsSync(join(installed, "dist/src/index.js"))).toBe(true);
  expect(existsSync(join(installed, "src"))).toBe(false);
  expect(existsSync(join(installed, "LICENSE"))).toBe(true);
});

it("has types that an empty project's compiler takes, without skipping the library's", () => {
  const options = [
    "--noEmit",
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
  expect(run(project, join(bin, "tsc"), ...options, "example.ts")).toBe("");
});

it("runs the README's example as it stands", async () => {
  await using server = await AuthorityProcess.start();
  using authority = connect(server.address, { security: "plaintext" });
  const { key } = await authority.create({ account: "acct_1", name: "Till", type: "secret", livemode: true });
  const port = await freePort();
  const env = { ...process.env, AUTHORITY: server.address, PORT: String(port) };
  const child: ChildProcess = spawn(process.execPath, ["example.ts"], {
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
