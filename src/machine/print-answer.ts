import { writeSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { StartError } from "./start-error.ts";

const retryMs = 10;

/**
 * Writes a command's answer to standard output, for as long as its reader takes. A reader that is gone wants no more of
 * it.
 */
export async function printAnswer(text: string): Promise<void> {
  const bytes = Buffer.from(text);
  let written = 0;
  while (written < bytes.length) {
    try {
      written += writeSync(1, bytes, written);
    } catch (error) {
      const code = error instanceof Error && "code" in error ? error.code : "unknown";
      if (code === "EPIPE") {
        return;
      }
      if (code !== "EAGAIN") {
        throw new StartError(`the answer could not be written to standard output (${code})`, { cause: error });
      }
      await sleep(retryMs);
    }
  }
}
