import { spawn } from "node:child_process";
import { once } from "node:events";
import { writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { createInterface } from "node:readline";
import { text } from "node:stream/consumers";

export const program = resolve(import.meta.dirname, "../../tokenctl/main.ts");

export type Ended = { readonly exitCode: number | null; readonly stdout: string; readonly stderr: string };

/** A profile in this folder, which every command takes. */
export function writeProfile(directory: string, profile: object, mode = 0o600): string {
  const path = join(directory, "tokenctl.json");
  writeFileSync(path, JSON.stringify(profile), { mode });
  return path;
}

/** Runs a command as a process of its own, with this on its standard input. */
export async function runTokenctl(profile: string, args: readonly string[], input = ""): Promise<Ended> {
  const child = spawn(process.execPath, [program, ...args], { env: { TOKENCTL_PROFILE: profile } });
  // A command may end before it has read all.
  child.stdin.on("error", () => {}).end(input);
  const [stdout, stderr, [exitCode]] = await Promise.all([text(child.stdout), text(child.stderr), once(child, "exit")]);
  return { exitCode, stdout, stderr };
}

/** A tail that goes on: `next` is its next line of JSON. Ended when it is disposed. */
export function followTail(profile: string, args: readonly string[]) {
  const child = spawn(process.execPath, [program, "tail", "--json", ...args], { env: { TOKENCTL_PROFILE: profile } });
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  return {
    next: async () => JSON.parse(String((await lines.next()).value)),
    async [Symbol.asyncDispose]() {
      child.kill();
      await once(child, "exit");
    },
  };
}

/** Runs a command on a terminal, and types this and Enter when it asks. Returns all that the terminal shows. */
export async function answerOnTerminal(profile: string, command: string, answer: string): Promise<string> {
  const env = { ...process.env, TOKENCTL_PROFILE: profile };
  const child = spawn("script", ["-qec", `${process.execPath} ${program} ${command}`, "/dev/null"], { env });
  let shown = "";
  let isAnswered = false;
  for await (const chunk of child.stdout.setEncoding("utf8")) {
    shown += chunk;
    if (!isAnswered && /Enter|closes it|Type yes/.test(shown)) {
      isAnswered = true;
      child.stdin.write(`${answer}\r`);
    }
  }
  return shown;
}
