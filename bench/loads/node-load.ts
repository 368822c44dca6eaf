import { fork } from "node:child_process";
import { once } from "node:events";
import { setPriority } from "node:os";
import { fileURLToPath } from "node:url";
import { loadCore, pinned } from "../runner/pinned.ts";
import type { LoadJob, LoadResult } from "./node-load-job.ts";

/** A process that makes calls on the load's core, one job at a time. */
export type NodeLoad = AsyncDisposable & {
  run(job: LoadJob): Promise<LoadResult>;
};

type Reply = { readonly result: LoadResult } | { readonly error: string };

/** Beyond its own end, a job that has not answered by then never will. */
const graceMs = 30_000;
const niceness = 10;

/** One in the background yields to the other on their core, so that it does not show in the other's latencies. */
export function startNodeLoad(place: "foreground" | "background"): NodeLoad {
  const [command = "", ...args] = pinned(loadCore, process.execPath, []);
  const child = fork(fileURLToPath(new URL("./node-load-process.ts", import.meta.url)), {
    execPath: command,
    execArgv: args,
  });
  if (place === "background" && child.pid !== undefined) {
    setPriority(child.pid, niceness);
  }
  return {
    async run(job) {
      child.send(job);
      const [reply] = (await once(child, "message", { signal: AbortSignal.timeout(job.maxMs + graceMs) })) as [Reply];
      if ("error" in reply) {
        throw new Error(`the load failed: ${reply.error}`);
      }
      return reply.result;
    },
    async [Symbol.asyncDispose]() {
      if (child.exitCode === null && child.signalCode === null) {
        const exited = once(child, "exit");
        child.kill("SIGKILL");
        await exited;
      }
    },
  };
}
