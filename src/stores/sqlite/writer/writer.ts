import type Database from "better-sqlite3";
import type { JournalHead } from "../../../authority/journal.ts";
import { lastUsePrecisionMs, requestMemoryMs, type TokenUse } from "../../../authority/token-store.ts";
import { type ChangeMaker, createChangeMaker } from "../../changes/change-maker.ts";
import { createSealedKeys } from "./sealed-keys.ts";
import { createSqliteLedger } from "./sqlite-ledger.ts";

/** Changes the database. Everything but `transact` must run within it. */
export type Writer = ChangeMaker & {
  /**
   * Runs the work in one transaction, and returns only when its changes would survive a power cut. When it throws,
   * nothing has changed.
   */
  transact<T>(work: () => T): T;
  /** The newest change. */
  head(): JournalHead;
  recordUses(uses: readonly TokenUse[]): void;
  /** Forgets some of the due records and returns how many: ask again until there are none. */
  forgetSomeRequests(nowMs: number): number;
};

const maxUses = 1000;
const maxForgottenAtOnce = 500;

/** The transactions of the one writing connection. The rules of changes are `changes/change-maker.ts`. */
export function createWriter(db: Database.Database): Writer {
  const begin = db.prepare("BEGIN IMMEDIATE");
  const commit = db.prepare("COMMIT");
  const rollback = db.prepare("ROLLBACK");
  const upsertUse = db.prepare<[number, number, number]>(
    `INSERT INTO last_use (issue_revision, used_at_ms) VALUES (?, ?)
     ON CONFLICT (issue_revision) DO UPDATE SET used_at_ms = excluded.used_at_ms
     WHERE excluded.used_at_ms >= last_use.used_at_ms + ?`,
  );
  const forgetRequests = db.prepare<[number, number], { readonly sealed_slot: number | null }>(
    "DELETE FROM create_request WHERE at_ms <= ? RETURNING sealed_slot ORDER BY at_ms LIMIT ?",
  );
  const sealedKeys = createSealedKeys(db);
  const ledger = createSqliteLedger(db, sealedKeys);
  const maker = createChangeMaker(ledger);

  return {
    transact(work) {
      const headBefore = ledger.head();
      begin.run();
      try {
        const result = work();
        commit.run();
        return result;
      } catch (error) {
        ledger.takeBackTo(headBefore);
        // A full disk, among others, may have rolled back already.
        if (db.inTransaction) {
          rollback.run();
        }
        throw error;
      }
    },

    head: ledger.head,
    create: maker.create,
    rotateKey: maker.rotateKey,
    endRotation: maker.endRotation,
    revoke: maker.revoke,
    revokeMatching: maker.revokeMatching,
    endKeys: maker.endKeys,
    setHold: maker.setHold,
    closeAccount: maker.closeAccount,

    recordUses(uses) {
      if (uses.length > maxUses) {
        throw new RangeError(`${uses.length} uses at once are more than ${maxUses}`);
      }
      for (const { issueRevision, usedAtMs } of uses) {
        upsertUse.run(issueRevision, usedAtMs, lastUsePrecisionMs);
      }
    },

    forgetSomeRequests(nowMs) {
      const forgotten = forgetRequests.all(nowMs - requestMemoryMs, maxForgottenAtOnce);
      for (const { sealed_slot } of forgotten) {
        if (sealed_slot !== null) {
          sealedKeys.erase(sealed_slot);
        }
      }
      return forgotten.length;
    },
  };
}
