import { spawn } from "node:child_process";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { send } from "./upstream.ts";

const startTimeoutMs = 30_000;
const stopTimeoutMs = 5000;

/** A gateway that runs as its README says, and ends with the suite. */
export type GatewayProcess = AsyncDisposable & {
  /** All that it printed. */
  output(): string;
};

/** Runs the one command in the README of `directory`, there, and resolves when it refuses a request without a key. */
export async function startGateway(
  directory: string,
  port: number,
  env: Readonly<Record<string, string>>,
): Promise<GatewayProcess> {
  if (await isTaken(port)) {
    // Some gateways would share it.
    throw new Error(`something listens on port ${port}, which the examples need`);
  }
  // A group of its own: a program may be a script that starts the real one.
  const child = spawn("sh", ["-c", commandOf(directory)], {
    cwd: directory,
    env,
    stdio: ["ignore", "pipe", "pipe"],
    detached: true,
  });
  let output = "";
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding("utf8").on("data", (text: string) => {
      output += text;
    });
  }
  const ended = once(child, "close");

  function signal(name: "SIGTERM" | "SIGKILL"): void {
    if (child.pid !== undefined && child.exitCode === null && child.signalCode === null) {
      process.kill(-child.pid, name);
    }
  }

  async function stop(): Promise<void> {
    signal("SIGTERM");
    const timer = setTimeout(signal, stopTimeoutMs, "SIGKILL");
    await ended;
    clearTimeout(timer);
  }

  const giveUpAtMs = performance.now() + startTimeoutMs;
  while (!(await isServing(port))) {
    if (performance.now() > giveUpAtMs || child.exitCode !== null) {
      await stop();
      throw new Error(`the gateway did not start:\n${output}`);
    }
    await sleep(50);
  }
  return { output: () => output, [Symbol.asyncDispose]: stop };
}

/** The first block of commands in the README. */
function commandOf(directory: string): string {
  const readme = readFileSync(join(directory, "README.md"), "utf8");
  const command = /```sh\n([^\n]+)\n```/.exec(readme)?.[1];
  if (command === undefined) {
    throw new Error(`${directory}/README.md gives no command`);
  }
  return command;
}

function isTaken(port: number): Promise<boolean> {
  return send(port, { path: "/" }, 3000).then(
    () => true,
    (error: NodeJS.ErrnoException) => error.code !== "ECONNREFUSED",
  );
}

async function isServing(port: number): Promise<boolean> {
  try {
    return (await send(port, { path: "/v1/charges" }, 3000)).status === 401;
  } catch {
    return false;
  }
}
