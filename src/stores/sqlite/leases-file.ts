import { existsSync, rmSync } from "node:fs";
import { ensurePrivateFile } from "./data-directory.ts";

/** Whether the process before may have left leases: it granted some, and did not see them end. */
export function tellsOfLeases(file: string): boolean {
  return existsSync(file);
}

/** Makes sure that a start after a crash finds out that leases were granted. Returns once that survives a power cut. */
export function markLeases(file: string): void {
  ensurePrivateFile(file);
}

/** After every lease is over. */
export function unmarkLeases(file: string): void {
  try {
    rmSync(file, { force: true });
  } catch {
    // Where it stays, revocations of the next start wait for nothing, and not long.
  }
}
