import { execFile } from "node:child_process";

export type Finished = { readonly exitCode: number; readonly stdout: string; readonly stderr: string };

export type RunOptions = {
  readonly timeoutMs: number;
  readonly cwd?: string;
  /** Added to the environment. */
  readonly env?: Readonly<Record<string, string>>;
};

/** A program that prints much is cut off, and so rejected. */
const maxOutputBytes = 64 * 1024 * 1024;

/** Runs a program to its end, however it ends. Rejects when it cannot be started, or takes too long. */
export function runProgram(program: string, args: readonly string[], options: RunOptions): Promise<Finished> {
  const { timeoutMs, cwd } = options;
  const env = { ...process.env, ...options.env };
  return new Promise((resolve, reject) => {
    const all = { timeout: timeoutMs, killSignal: "SIGKILL", cwd, env, maxBuffer: maxOutputBytes } as const;
    execFile(program, args, all, (error, stdout, stderr) => {
      if (error !== null && typeof error.code !== "number") {
        reject(error);
      } else {
        resolve({ exitCode: Number(error?.code ?? 0), stdout, stderr });
      }
    });
  });
}
