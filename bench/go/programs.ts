import { execFile, spawnSync } from "node:child_process";
import { join, resolve } from "node:path";
import { promisify } from "node:util";
import { buildGoProgram } from "../../test/suites/support/tools.ts";
import { MissingError } from "../runner/missing-error.ts";

const root = resolve(import.meta.dirname, "../..");
const run = promisify(execFile);

/** The load generator's path, once it is built. */
export async function buildLoad(): Promise<string> {
  requireGo();
  return buildGoProgram(join(import.meta.dirname, "load"));
}

/** The grpc-go server's path, once its messages are generated and it is built. */
export async function buildGrpcServer(): Promise<string> {
  return await buildWithMessages("grpc-server");
}

/** The path of the program that is many gateways. */
export async function buildWatchers(): Promise<string> {
  return await buildWithMessages("watchers");
}

async function buildWithMessages(folder: string): Promise<string> {
  requireGo();
  await run(join(root, "node_modules/.bin/buf"), ["generate", "--template", "bench/go/buf.gen.yaml", "proto"], {
    cwd: root,
  });
  return await buildGoProgram(join(import.meta.dirname, folder));
}

/** The path of the Go client's tests as a program, in this folder: they measure its cache. */
export async function buildCacheFigures(folder: string): Promise<string> {
  requireGo();
  const program = join(folder, "go-cache-figures");
  await run("go", ["test", "-c", "-o", program, "."], { cwd: join(root, "clients/go") });
  return program;
}

function requireGo(): void {
  if (spawnSync("go", ["version"]).status !== 0) {
    throw new MissingError("Go is not installed");
  }
}
