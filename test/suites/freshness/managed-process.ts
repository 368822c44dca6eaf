import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";
import { setTimeout as sleep } from "node:timers/promises";

const startTimeoutMs = 60_000;

export type Command = {
  readonly program: string;
  readonly args: readonly string[];
  readonly cwd?: string;
  readonly env?: Readonly<Record<string, string>>;
};

/** A program of the suite that runs until it is killed. */
export class ManagedProcess {
  readonly #child: ChildProcess;

  private constructor(child: ChildProcess) {
    this.#child = child;
  }

  /** Resolves once the program prints a line that matches. Rejects with its output when it ends before. */
  static async start({ program, args, cwd, env }: Command, isReady: RegExp): Promise<ManagedProcess> {
    const child = spawn(program, args, { cwd, env: { ...process.env, ...env }, stdio: ["ignore", "pipe", "pipe"] });
    const lines: string[] = [];
    const ready = new Promise<void>((resolve) => {
      for (const stream of [child.stdout, child.stderr]) {
        createInterface({ input: stream }).on("line", (line) => {
          lines.push(line);
          lines.splice(0, lines.length - 50);
          if (isReady.test(line)) {
            resolve();
          }
        });
      }
    });
    const timer = setTimeout(() => child.kill("SIGKILL"), startTimeoutMs);
    const ended = once(child, "close").then(() => {
      throw new Error(`${program} ${args.join(" ")} did not start:\n${lines.join("\n")}`);
    });
    ended.catch(() => undefined);
    await Promise.race([ready, ended]);
    clearTimeout(timer);
    return new ManagedProcess(child);
  }

  isRunning(): boolean {
    return this.#child.exitCode === null && this.#child.signalCode === null;
  }

  async stopFor(ms: number): Promise<void> {
    this.#child.kill("SIGSTOP");
    await sleep(ms);
    this.#child.kill("SIGCONT");
  }

  /** kill -9. */
  async kill(): Promise<void> {
    if (this.isRunning()) {
      const exited = once(this.#child, "exit");
      this.#child.kill("SIGKILL");
      await exited;
    }
  }
}
