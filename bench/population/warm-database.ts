import { closeSync, openSync, readSync } from "node:fs";
import { dataFiles } from "../../src/stores/sqlite/data-directory.ts";
import type { Setup } from "../runner/way.ts";

/** Reads the databases once, so that the system has them in memory: without that, a figure is partly the disk's. */
export function warmDatabase({ directory, copy }: Setup): void {
  for (const { database } of [directory, copy].map((one) => dataFiles(one))) {
    readWhole(database);
  }
}

export function readWhole(file: string): void {
  const buffer = Buffer.allocUnsafe(1024 * 1024);
  const descriptor = openSync(file, "r");
  try {
    while (readSync(descriptor, buffer) > 0) {
      // To be read is all that is asked.
    }
  } finally {
    closeSync(descriptor);
  }
}
