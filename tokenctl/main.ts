import { readFileSync } from "node:fs";
import process from "node:process";
import { AuthorityError } from "../clients/typescript/src/index.ts";
import { commands } from "./commands.ts";
import { withoutKeys } from "./keys.ts";
import { openAuthority } from "./profile.ts";
import { print, show, tables } from "./terminal.ts";
import { manual, overview, parseUsage, refuse, UsageError } from "./usage.ts";

const [name = "help", ...args] = process.argv.slice(2);
const isJson = args.includes("--json");
await run().catch(report);

async function run(): Promise<void> {
  if (process.argv.some((argument) => withoutKeys(argument) !== argument)) {
    refuse("an argument holds a key, and others can see arguments: give keys on standard input");
  }
  if (name === "help" || process.argv.includes("--help")) {
    return await print(manual.get(name === "help" ? (args[0] ?? "") : name) ?? overview);
  }
  const given = parseUsage(manual.get(name) ?? refuse("there is no such command: see tokenctl help"), args);
  const command = commands[name];
  if (command === undefined) {
    return await show(ownAnswer(), isJson);
  }
  using authority = openAuthority();
  await show(command({ ...given, isJson, authority }), isJson, tables[name]);
}

/** Of the commands that ask nobody. */
async function ownAnswer(): Promise<object | string> {
  const read = (file: string) => readFileSync(new URL(file, import.meta.url), "utf8");
  if (name === "completion") {
    return read("completion.bash").replace("MANUAL", `'${import.meta.dirname.replaceAll("'", "'\\''")}/manual.txt'`);
  }
  return { version: JSON.parse(read("../package.json")).version, node: process.version };
}

/** Tells people or machines, and sets the exit code: 1 for a no, 2 when nothing was asked. */
function report(error: unknown): void {
  const ownCode = String(Object(error).code);
  // Nobody reads on, which matters to a key alone.
  if (ownCode === "EPIPE" && name !== "create" && name !== "rotate") {
    return;
  }
  const { code = null, reason = null, field = null } = error instanceof AuthorityError ? error : {};
  const prefix = error instanceof AuthorityError && !error.isMistake ? "not decided, no answer: " : "";
  const message = withoutKeys(error instanceof Error ? error.message : String(error));
  console.error(isJson ? JSON.stringify({ error: { message, code, reason, field } }) : `tokenctl: ${prefix}${message}`);
  process.exitCode = error instanceof UsageError || ownCode.startsWith("ERR_PARSE_ARGS") ? 2 : 1;
}
