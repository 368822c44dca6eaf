import { join } from "node:path";
import { runProgram } from "../support/run-program.ts";
import { buildGoProgram } from "../support/tools.ts";

export type Finding = {
  /** Ok, Illegal, or Unknown where it took too long. */
  readonly result: string;
  readonly answers: number;
  readonly changes: number;
  readonly violations: readonly {
    /** `promise` for all holders together, `register` for one that went back. */
    readonly model: string;
    readonly key: string;
    readonly holder?: string;
    readonly picture: string;
  }[];
};

const timeoutMs = 120_000;

export function buildChecker(): Promise<string> {
  return buildGoProgram(join(import.meta.dirname, "checker"));
}

/** Lets porcupine judge the history in this file. Its pictures go into the folder. */
export async function judge(checker: string, historyPath: string, folder: string): Promise<Finding> {
  const { exitCode, stdout, stderr } = await runProgram(checker, [historyPath, folder], { timeoutMs });
  if (exitCode !== 0) {
    throw new Error(`the checker ended with ${exitCode}: ${stderr}`);
  }
  return JSON.parse(stdout);
}
