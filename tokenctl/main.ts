import process from "node:process";
import { AuthorityError } from "../clients/typescript/src/index.ts";
import { commands } from "./commands.ts";
import { withoutKeys } from "./keys.ts";
import { openTarget } from "./profile.ts";
import { note, print } from "./terminal.ts";
import { manual, overview, parseUsage, UsageError } from "./usage.ts";

const [name = "help", ...args] = process.argv.slice(2);
const isJson = args.includes("--json");
const target: { opened?: ReturnType<typeof openTarget> } = {};
try {
  await run();
} catch (error) {
  process.exitCode = report(error);
} finally {
  target.opened?.authority.close();
}

async function run(): Promise<void> {
  if (process.argv.some((argument) => withoutKeys(argument) !== argument)) {
    throw new UsageError("an argument holds a key, and others can see arguments: give keys on standard input");
  }
  if (name === "help" || name === "--help") {
    return await print(overview);
  }
  const text = manual.get(name);
  if (text === undefined) {
    throw new UsageError("there is no such command: see tokenctl help");
  }
  const given = parseUsage(text, args);
  if (given.flag("help")) {
    return await print(`tokenctl ${text}`);
  }
  await commands[name]?.({
    given,
    isJson,
    // Opened by the commands that ask it.
    get authority() {
      target.opened ??= openTarget();
      return target.opened.authority;
    },
  });
}

/** Tells people or machines, and answers the exit code: 1 for a no, 2 when nothing was asked. */
function report(error: unknown): 0 | 1 | 2 {
  // Nobody reads on.
  if (error instanceof Error && "code" in error && error.code === "EPIPE") {
    return 0;
  }
  const message = withoutKeys(error instanceof Error ? error.message : String(error));
  const { code = null, reason = null, field = null } = error instanceof AuthorityError ? error : {};
  const isUndecided = error instanceof AuthorityError && !error.isMistake;
  const asked = isUndecided ? `not decided, ${target.opened?.address} did not answer: ` : "";
  const where = field === null ? "" : ` (field ${field})`;
  note(isJson ? JSON.stringify({ error: { message, code, reason, field } }) : `tokenctl: ${asked}${message}${where}`);
  return error instanceof UsageError ? 2 : 1;
}
