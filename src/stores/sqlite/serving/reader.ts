import type Database from "better-sqlite3";
import type { TokenChange } from "../../../authority/freshness.ts";
import { emptyHead, type JournalHead } from "../../../authority/journal.ts";
import type { Token } from "../../../authority/token.ts";
import type {
  AccountPage,
  AccountQuery,
  ChangePage,
  ChangeQuery,
  TokenPage,
  TokenQuery,
} from "../../../authority/token-store.ts";
import { createTurns } from "../../../machine/turns.ts";
import { selectJournalHead } from "../journal-head.ts";
import { joinLastUse, type TokenRow, tokenColumns, toToken } from "../token-row.ts";
import { createAccountList } from "./list-accounts.ts";
import { createChangeList } from "./list-changes.ts";
import { createTokenList } from "./list-tokens.ts";

/** The reads of one serving thread. Throws what the driver throws. */
export type Reader = Disposable & {
  get(id: string): Token | null;
  list(query: TokenQuery): Promise<TokenPage>;
  listChanges(query: ChangeQuery): Promise<ChangePage | null>;
  listAccounts(query: AccountQuery): Promise<AccountPage>;
  head(): JournalHead;
  changesAfter(revision: number, limit: number): readonly TokenChange[] | null;
};

const changesAfterSql = `SELECT journal.revision, journal.action, token.digest
  FROM journal JOIN token ON token.id = journal.token_id
  WHERE journal.revision > ? ORDER BY journal.revision LIMIT ?`;

/** Takes over a connection that only reads. */
export function createReader(db: Database.Database): Reader {
  const findById = db.prepare<[string], TokenRow>(
    `SELECT ${tokenColumns} FROM token ${joinLastUse} WHERE token.id = ?`,
  );
  const findHead = selectJournalHead(db);
  const findChanges = db.prepare<[number, number], TokenChange>(changesAfterSql);
  // However many lists run at once, Authenticate waits for one slice and one encoded page at the most.
  const turns = createTurns(1);
  return {
    get(id) {
      const row = findById.get(id);
      return row === undefined ? null : toToken(row);
    },
    list: createTokenList(db, turns),
    listChanges: createChangeList(db, turns),
    listAccounts: createAccountList(db, turns),
    head() {
      return findHead() ?? emptyHead;
    },
    changesAfter(revision, limit) {
      const changes = findChanges.all(revision, limit + 1);
      return changes.length > limit ? null : changes;
    },
    [Symbol.dispose]() {
      db.close();
    },
  };
}
