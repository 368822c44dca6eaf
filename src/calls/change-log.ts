import { changeFields } from "../authority/change-fields.ts";
import type { MadeChange } from "../authority/journal.ts";
import type { Log } from "../machine/log.ts";

/**
 * Makes the log lines of changes: one for each, from what was committed, at every door, and even when no caller waits
 * any longer.
 */
export function createChangeLog(log: Log): (change: MadeChange) => void {
  return (change) => log.info(changeFields(change), "changed");
}
