import { totalmem } from "node:os";

/**
 * How many bytes of memory a process may use: what its cgroup grants it, of version 1 or 2, or else all that the
 * machine has.
 */
export function memoryLimitBytes(process: Pick<NodeJS.Process, "constrainedMemory">): number {
  // Without a limit this is 0, or more than any machine has.
  const constrained = process.constrainedMemory();
  return constrained > 0 ? Math.min(constrained, totalmem()) : totalmem();
}
