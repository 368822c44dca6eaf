import { existsSync, readlinkSync } from "node:fs";
import { setPriority } from "node:os";

// Linux has a priority for each thread, and this link names the one that reads it.
const thisThread = "/proc/thread-self";
const niceness = 5;

/**
 * Lets the process' other threads go first where they want the same core, so that Authenticate waits for less of a
 * commit. Changes nothing where the system does not allow it.
 */
export function yieldToOthers(): void {
  if (!existsSync(thisThread)) {
    return;
  }
  try {
    setPriority(Number(readlinkSync(thisThread).split("/").at(-1)), niceness);
  } catch {
    // A sandbox may forbid it.
  }
}
