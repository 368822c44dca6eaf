import { readFileSync } from "node:fs";
import type { Ledger } from "./ledger.ts";

/**
 * After kill -9, and before the next start, which would mend it: every revocation that was answered stands in the
 * revocation log.
 */
export function verifyRevocationLog(ledger: Ledger, file: string): void {
  const text = readFileSync(file, "utf8");
  for (const id of ledger.answeredRevocations) {
    if (!text.includes(`"token_id":"${id}"`)) {
      ledger.fault("after a restart", `the revocation of ${id} was answered, and is not in the revocation log`);
    }
  }
  ledger.answeredRevocations = [];
}
