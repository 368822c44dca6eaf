import { spawn } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";
import { buildWatchers } from "../go/programs.ts";
import { loadCore, pinned } from "../runner/pinned.ts";

const startTimeoutMs = 60_000;

/** So many gateways, which hold leases of the authority at HOST:PORT until they are disposed of. */
export async function startWatchers(address: string, watchers: number, connections: number): Promise<AsyncDisposable> {
  const program = await buildWatchers();
  const flags = [`-address=${address}`, `-watchers=${watchers}`, `-connections=${connections}`];
  const [command = "", ...args] = pinned(loadCore, program, flags);
  const child = spawn(command, args, {
    env: { PATH: process.env.PATH, GOMAXPROCS: "1" },
    stdio: ["pipe", "pipe", "inherit"],
  });
  const ended = once(child, "close");
  const leased = once(createInterface({ input: child.stdout }), "line", {
    signal: AbortSignal.timeout(startTimeoutMs),
  });
  await Promise.race([leased, ended]);
  if (child.exitCode !== null) {
    throw new Error(`the watchers ended with ${child.exitCode}`);
  }
  return {
    async [Symbol.asyncDispose]() {
      // They give their leases back, so that no Revoke waits for them.
      child.stdin.end();
      await ended;
    },
  };
}
