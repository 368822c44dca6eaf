import { execFile } from "node:child_process";

export type Finished = { readonly exitCode: number; readonly stdout: string; readonly stderr: string };

export type RunOptions = { readonly timeoutMs: number; readonly cwd?: string };

/** Runs a program to its end, however it ends. Rejects when it cannot be started, or takes too long. */
export function runProgram(program: string, args: readonly string[], options: RunOptions): Promise<Finished> {
  const { timeoutMs, cwd } = options;
  return new Promise((resolve, reject) => {
    execFile(program, args, { timeout: timeoutMs, killSignal: "SIGKILL", cwd }, (error, stdout, stderr) => {
      if (error !== null && typeof error.code !== "number") {
        reject(error);
      } else {
        resolve({ exitCode: Number(error?.code ?? 0), stdout, stderr });
      }
    });
  });
}
