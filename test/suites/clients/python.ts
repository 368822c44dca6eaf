import { mkdtempDisposableSync } from "node:fs";
import { tmpdir } from "node:os";
import { delimiter, dirname, join, resolve } from "node:path";
import { runProgram } from "../support/run-program.ts";
import { installPython } from "../support/tools.ts";
import { checkGenerated } from "./check-generated.ts";
import type { Rig } from "./rig.ts";

const root = resolve(import.meta.dirname, "../../..");
const folder = join(root, "clients/python");
const timeoutMs = 10 * 60 * 1000;

const packages = [
  "googleapis-common-protos==1.76.0",
  "grpcio==1.85.3",
  "grpcio-tools==1.85.1",
  "hatchling==1.33.0",
  "httpx==0.28.1",
  "mypy==2.4.1",
  "protobuf==7.36.2",
  "pytest==9.2.0",
  "pytest-asyncio==1.5.0",
  "ruff==0.17.6",
  "starlette==1.10.0",
  "types-grpcio==1.85.0.20261028",
  "types-protobuf==7.35.1.20260906",
  "uvicorn==0.54.0",
  "websockets==17.4",
];

/** The path of an interpreter that has what the client needs. */
export async function installPythonClient(): Promise<string> {
  return await installPython("python-client", packages);
}

/**
 * Checks the Python client: its generated code, style and types, and its tests against the package as it would be
 * installed.
 */
export async function checkPythonClient({ environment }: Rig, scratch: string): Promise<void> {
  const interpreter = await installPythonClient();
  const programs = [dirname(interpreter), join(root, "node_modules/.bin"), process.env.PATH ?? ""].join(delimiter);
  using installed = mkdtempDisposableSync(join(tmpdir(), "token-authority-python-client-"));

  async function run(program: string, ...args: readonly string[]): Promise<string> {
    const env = { ...environment, PATH: programs, PYTHONPATH: installed.path, PYTHONDONTWRITEBYTECODE: "1" };
    const { exitCode, stdout, stderr } = await runProgram(program, args, { cwd: folder, env, timeoutMs });
    if (exitCode !== 0) {
      throw new Error(`${program} ${args.join(" ")}:\n${stdout}${stderr}`);
    }
    return stdout;
  }

  await checkGenerated(folder, "src/casapay_token_authority/_proto", [dirname(interpreter)], join(scratch, "python"));
  await run("ruff", "format", "--check", "--no-cache");
  await run("ruff", "check", "--no-cache");
  await run("mypy", "--cache-dir", "/dev/null");
  const install = ["--quiet", "--disable-pip-version-check", "--no-deps", "--no-build-isolation", "--target"];
  await run("python", "-m", "pip", "install", ...install, installed.path, ".");
  const tested = await run("pytest", "--quiet", "-p", "no:cacheprovider");
  for (const line of tested.split("\n").filter((line) => /restarts by| passed/.test(line))) {
    console.log(`     ${line}`);
  }
}
