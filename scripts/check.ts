// Everything that is checked without running the product. Changes nothing in the tree. One line a step, with what it
// took.
import { execFileSync, spawnSync } from "node:child_process";
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, relative, resolve } from "node:path";
import { generatedDocuments } from "./generated-documents.ts";

const root = resolve(import.meta.dirname, "..");
const scratch = mkdtempSync(join(tmpdir(), "token-authority-check-"));

/** Null when all is well, else what is wrong. */
type Complaint = string | null;
type Step = { readonly name: string; readonly run: () => Complaint };

const steps: readonly Step[] = [
  {
    name: "biome: format, lint, import rules",
    run: () => complaintOf("biome", "ci", "--colors=off", "--error-on-warnings"),
  },
  { name: "tsc: types", run: () => complaintOf("tsc", "--noEmit") },
  { name: "tsc: types of the console", run: () => complaintOf("tsc", "--project", "src/doors/console") },
  { name: "buf: lint", run: () => complaintOf("buf", "lint") },
  { name: "buf: format", run: () => complaintOf("buf", "format", "--diff", "--exit-code", "proto") },
  { name: "buf: breaking, against main", run: findBreaking },
  { name: "gen: up to date", run: findStale },
  { name: "documents made of the code: up to date", run: findStaleDocuments },
  { name: "redocly: lint of docs/openapi.json", run: lintOpenApi },
  { name: "knip: nothing unused", run: () => complaintOf("knip", "--no-progress") },
];

function complaintOf(command: string, ...args: readonly string[]): Complaint {
  const result = spawnSync(join("node_modules", ".bin", command), args, { cwd: root, encoding: "utf8" });
  if (result.error !== undefined) {
    return String(result.error);
  }
  return result.status === 0 ? null : `${result.stdout}${result.stderr}`;
}

function findBreaking(): Complaint {
  const base = ["origin/main", "main"].find((ref) => succeeds("git", "cat-file", "-e", `${ref}:buf.yaml`));
  if (base === undefined) {
    return null;
  }
  const before = join(scratch, "before.tar");
  execFileSync("git", ["archive", `--output=${before}`, base, "buf.yaml", "proto", "third_party/proto"], { cwd: root });
  return complaintOf("buf", "breaking", "--against", before);
}

function succeeds(command: string, ...args: readonly string[]): boolean {
  return spawnSync(command, args, { cwd: root, stdio: "ignore" }).status === 0;
}

function findStale(): Complaint {
  const complaint = complaintOf("buf", "generate", "--output", scratch);
  if (complaint !== null) {
    return complaint;
  }
  const fresh = readTree(join(scratch, "gen"));
  const kept = readTree(join(root, "gen"));
  const stale = [...new Set([...fresh.keys(), ...kept.keys()])].filter((path) => fresh.get(path) !== kept.get(path));
  return stale.length === 0 ? null : `run \`npm run generate\`: ${stale.map((path) => `gen/${path}`).join(", ")}\n`;
}

function findStaleDocuments(): Complaint {
  const stale = generatedDocuments()
    .filter(({ path, text }) => !existsSync(join(root, path)) || readFileSync(join(root, path), "utf8") !== text)
    .map(({ path }) => path);
  return stale.length === 0 ? null : `run \`npm run generate\`: ${stale.join(", ")}\n`;
}

function lintOpenApi(): Complaint {
  // It tells its makers of each run else, and asks whether there is a newer one.
  process.env.REDOCLY_TELEMETRY = "off";
  process.env.REDOCLY_SUPPRESS_UPDATE_NOTICE = "true";
  return complaintOf("redocly", "lint", "docs/openapi.json");
}

function readTree(directory: string): Map<string, string> {
  const entries = readdirSync(directory, { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile());
  const paths = entries.map((entry) => join(entry.parentPath, entry.name));
  return new Map(paths.map((path) => [relative(directory, path), readFileSync(path, "utf8")]));
}

function runStep({ name, run }: Step): boolean {
  const startMs = performance.now();
  const complaint = run();
  const seconds = ((performance.now() - startMs) / 1000).toFixed(1);
  console.log(`${complaint === null ? "ok  " : "FAIL"} ${name} (${seconds} s)`);
  if (complaint !== null) {
    console.log(complaint);
  }
  return complaint === null;
}

try {
  const results = steps.map(runStep);
  process.exitCode = results.every(Boolean) ? 0 : 1;
} finally {
  rmSync(scratch, { recursive: true });
}
