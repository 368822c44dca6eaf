import type Database from "better-sqlite3";
import { type MadeChange, type TakeawayAction, takeawayActions } from "../../authority/journal.ts";
import { readFacts } from "../changes/facts.ts";

type TakeawayRow = {
  readonly revision: number;
  readonly at_ms: number;
  readonly caller: string;
  readonly action: TakeawayAction;
  readonly token_revision: number | null;
  readonly token_id: string | null;
  readonly account: string | null;
  readonly facts: string | null;
  readonly hash: Uint8Array;
  readonly revoke_reason: string | null;
};

/**
 * Prepares a look at the changes after a revision that take something away from keys or give it back, oldest first, as
 * the writer has made them.
 */
export function selectTakeaways(db: Database.Database): (after: number, limit: number) => readonly MadeChange[] {
  const actions = takeawayActions.map((action) => `'${action}'`).join(", ");
  const select = db.prepare<[number, number], TakeawayRow>(
    `SELECT journal.revision, journal.at_ms, journal.caller, journal.action, journal.token_revision,
       token.id AS token_id, journal.account, journal.facts, journal.hash, token.revoke_reason
     FROM journal LEFT JOIN token ON token.revision = journal.token_revision
     WHERE journal.revision > ? AND journal.action IN (${actions}) ORDER BY journal.revision LIMIT ?`,
  );
  const findDigest = db
    .prepare<[number, number], Uint8Array>(
      "SELECT digest FROM token_key WHERE token_revision = ? AND issue_revision = ?",
    )
    .pluck();

  /** A key by the change that issued it. */
  function digestOf({ revision, token_revision }: TakeawayRow, issueRevision: number): Uint8Array {
    const digest = token_revision === null ? undefined : findDigest.get(token_revision, issueRevision);
    if (digest === undefined) {
      throw new Error(`revision ${revision} ends the key of revision ${issueRevision}, which is not there`);
    }
    return digest;
  }

  return (after, limit) =>
    select.all(after, limit).map((row) => {
      const facts = readFacts(row.facts);
      const ends = facts.ends.map(({ issueRevision, endsAtMs }) => ({
        digest: digestOf(row, issueRevision),
        endsAtMs,
      }));
      return {
        revision: row.revision,
        atMs: row.at_ms,
        hash: row.hash,
        caller: row.caller,
        action: row.action,
        subject: row.account === null ? { tokenId: row.token_id ?? "" } : { account: row.account },
        ends,
        // Revocations of older releases have no facts of their own.
        reason: (row.action === "revoke" ? row.revoke_reason : facts.reason) ?? "",
      };
    });
}
