import type { MadeChange } from "../authority/token-authority.ts";
import type { Log } from "../machine/log.ts";

/**
 * Makes the log lines of changes: one for each, from what was committed, at every door, and even when no caller waits
 * any longer.
 */
export function createChangeLog(log: Log): (change: MadeChange) => void {
  return ({ action, tokenId, caller, revision, hash }) => {
    const fields = { action, token_id: tokenId, caller, revision, hash: Buffer.from(hash).toString("hex") };
    log.info(fields, "changed");
  };
}
