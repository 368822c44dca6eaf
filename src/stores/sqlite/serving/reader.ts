import type Database from "better-sqlite3";
import type { TokenChange } from "../../../authority/freshness.ts";
import { type Action, emptyHead, type JournalHead } from "../../../authority/journal.ts";
import type { Token } from "../../../authority/token.ts";
import type { ChangePage, ChangeQuery, TokenPage, TokenQuery } from "../../../authority/token-store.ts";
import { createTurns } from "../../../machine/turns.ts";
import { type TokenRow, toToken } from "../../reading/token-row.ts";
import { selectJournalHead } from "../journal-head.ts";
import { tokenColumns } from "../token-row.ts";
import { type AccountReads, createAccountReads } from "./list-accounts.ts";
import { createChangeList } from "./list-changes.ts";
import { createTokenList } from "./list-tokens.ts";

/** The reads of one serving thread. Throws what the driver throws. */
export type Reader = Disposable &
  AccountReads & {
    get(id: string): Token | null;
    list(query: TokenQuery): Promise<TokenPage>;
    listChanges(query: ChangeQuery): Promise<ChangePage | null>;
    head(): JournalHead;
    changesAfter(revision: number, limit: number): readonly TokenChange[] | null;
    hashOf(revision: number): Uint8Array | null;
  };

/** A row for each key of the token that was changed. Revisions have no gaps: so many numbers are so many changes. */
const changesAfterSql = `SELECT journal.revision, journal.action, journal.account, token.id AS token_id, token_key.digest
  FROM journal LEFT JOIN token ON token.revision = journal.token_revision
    LEFT JOIN token_key ON token_key.token_revision = journal.token_revision
  WHERE journal.revision > ? AND journal.revision <= ? ORDER BY journal.revision`;

type ChangedKeyRow = {
  readonly revision: number;
  readonly action: Action;
  readonly account: string | null;
  readonly token_id: string | null;
  readonly digest: Uint8Array | null;
};

/** Takes over a connection that only reads. */
export function createReader(db: Database.Database): Reader {
  const findById = db.prepare<[string], TokenRow>(`SELECT ${tokenColumns} FROM token WHERE token.id = ?`);
  const findHead = selectJournalHead(db);
  const findHash = db.prepare<[number], { readonly hash: Uint8Array }>("SELECT hash FROM journal WHERE revision = ?");
  const findChanges = db.prepare<[number, number], ChangedKeyRow>(changesAfterSql);
  // However many lists run at once, Authenticate waits for one slice and one encoded page at the most.
  const turns = createTurns(1);
  return {
    get(id) {
      const row = findById.get(id);
      return row === undefined ? null : toToken(row);
    },
    list: createTokenList(db, turns),
    listChanges: createChangeList(db, turns),
    ...createAccountReads(db, turns),
    head() {
      return findHead() ?? emptyHead;
    },
    changesAfter(revision, limit) {
      const rows = findChanges.all(revision, revision + limit + 1);
      return (rows.at(-1)?.revision ?? 0) > revision + limit ? null : toChanges(rows);
    },
    hashOf(revision) {
      return revision === 0 ? emptyHead.hash : (findHash.get(revision)?.hash ?? null);
    },
    [Symbol.dispose]() {
      db.close();
    },
  };
}

function toChanges(rows: readonly ChangedKeyRow[]): readonly TokenChange[] {
  const changes: TokenChange[] = [];
  let digests: Uint8Array[] = [];
  for (const { revision, action, account, token_id, digest } of rows) {
    if (changes.at(-1)?.revision !== revision) {
      digests = [];
      changes.push({ revision, action, digests: account === null ? digests : null, tokenId: token_id ?? "", account });
    }
    if (digest !== null) {
      digests.push(digest);
    }
  }
  return changes;
}
