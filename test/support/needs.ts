import { spawnSync } from "node:child_process";
import type { TestContext } from "vitest";

/** Skips the test, and says why, where this machine does not let us break a disk. */
export function needs(context: TestContext, command: string, ...parameters: readonly string[]): void {
  const { status, error } = spawnSync(command, parameters);
  context.skip(status !== 0, `needs a working ${command}: ${error?.message ?? `it ended with ${status}`}`);
}
