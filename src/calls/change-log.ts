import type { MadeChange } from "../authority/journal.ts";
import type { Log } from "../machine/log.ts";

/**
 * Makes the log lines of changes: one for each, from what was committed, at every door, and even when no caller waits
 * any longer.
 */
export function createChangeLog(log: Log): (change: MadeChange) => void {
  return ({ action, subject, caller, revision, hash }) => {
    const about = "tokenId" in subject ? { token_id: subject.tokenId } : { account: subject.account };
    const fields = { action, ...about, caller, revision, hash: Buffer.from(hash).toString("hex") };
    log.info(fields, "changed");
  };
}
