import { spawnSync } from "node:child_process";
import { availableParallelism } from "node:os";

/** The core of what is measured. */
export const serverCore = 0;
/** The core of what measures. */
export const loadCore = 1;

/** The program that gives a program a core. */
export const pinner = "taskset";

/** Whether programs can be given a core of their own here. */
export const canPin = availableParallelism() >= 2 && spawnSync(pinner, ["--version"]).status === 0;

/** The command line that runs a program on one core, where that can be done. */
export function pinned(core: number, command: string, args: readonly string[]): readonly string[] {
  return canPin ? [pinner, "--cpu-list", String(core), command, ...args] : [command, ...args];
}
