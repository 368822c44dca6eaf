import { type ChildProcess, type ChildProcessWithoutNullStreams, spawn } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";

/** A process with a store, which store-child.ts says more about. */
export type StoreProcess = AsyncDisposable & {
  readonly process: ChildProcessWithoutNullStreams;
  readonly pid: number;
  /** Sends an order and returns the answer to it. */
  ask(order: object): Promise<Record<string, unknown>>;
  /** The next line it says that answers nothing. */
  next(): Promise<Record<string, unknown>>;
  readonly exit: Promise<number | null>;
};

export const childFile = fileURLToPath(new URL("./store-child.ts", import.meta.url));

/** Starts the process, under another command if one is given, and waits until its store is open. */
export async function startStoreProcess(
  directory: string,
  wrap: (command: readonly string[]) => readonly string[] = (command) => command,
): Promise<StoreProcess> {
  const [command = "", ...parameters] = wrap([process.execPath, childFile, directory]);
  const child = spawn(command, parameters);
  const lines = createInterface(child.stdout)[Symbol.asyncIterator]();
  let complaints = "";
  child.stderr.on("data", (data) => {
    complaints += data;
  });
  const exit = once(child, "exit").then(([code]) => code as number | null);
  async function next(): Promise<Record<string, unknown>> {
    const line = await lines.next();
    if (line.done) {
      throw new Error(`the process ended: ${complaints}`);
    }
    return JSON.parse(line.value);
  }

  const opened = await next();
  return {
    process: child,
    pid: Number(opened.pid),
    async ask(order) {
      child.stdin.write(`${JSON.stringify(order)}\n`);
      return next();
    },
    next,
    exit,
    async [Symbol.asyncDispose]() {
      child.kill("SIGKILL");
      await exit;
    },
  };
}

/** Lets system calls of a running process fail from now on, those on one file where one is named. */
export async function injectFault(pid: number, fault: string, file: string | null = null): Promise<ChildProcess> {
  const calls = fault.split(":", 1)[0] ?? "";
  const onFile = file === null ? [] : ["-P", file];
  const faults = ["-e", `trace=${calls}`, "-e", `inject=${fault}`];
  const strace = spawn("strace", ["-f", "-p", String(pid), ...onFile, ...faults]);
  let said = "";
  while (!/attached/.test(said)) {
    const [data] = await once(strace.stderr, "data");
    said += data;
  }
  return strace;
}
