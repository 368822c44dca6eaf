import type Database from "better-sqlite3";
import { type Action, emptyHead, type JournalHead } from "../../../authority/journal.ts";
import type { Ledger, LedgerKey } from "../../changes/ledger.ts";
import { type StoredTokenRow, type TokenRow, toStoredToken, toToken } from "../../reading/token-row.ts";
import { type CountParameters, countTokens } from "../count-tokens.ts";
import { selectJournalHead } from "../journal-head.ts";
import { type FilterParameters, filterConditions, toFilterParameters } from "../token-filter.ts";
import { storedTokenColumns, tokenColumns } from "../token-row.ts";
import type { SealedKeys } from "./sealed-keys.ts";

/** The tables as a ledger. A transaction that is rolled back takes back what it wrote, and then so must the head. */
export type SqliteLedger = Ledger & { takeBackTo(head: JournalHead): void };

const maxAccountsKept = 10_000;

type RevocableRow = { readonly id: string; readonly revision: number };

type KeyRow = {
  readonly digest: Uint8Array;
  readonly issue_revision: number;
  readonly ends_at_ms: number | null;
  readonly end_revision: number | null;
};

type AccountRow = { readonly hold_revision: number | null; readonly close_revision: number | null };

type RequestRow = {
  readonly body_digest: Uint8Array;
  readonly sealed_slot: number | null;
  readonly token_revision: number;
  readonly issue_revision: number;
  readonly at_ms: number;
};

/** The statements of the one writing connection that changes are made with. */
export function createSqliteLedger(db: Database.Database, sealedKeys: SealedKeys): SqliteLedger {
  const findRequest = db.prepare<[string, string, string], RequestRow>(
    `SELECT body_digest, sealed_slot, token_revision, issue_revision, at_ms FROM create_request
     WHERE caller = ? AND account = ? AND request_id = ?`,
  );
  const findById = db.prepare<[string], TokenRow>(`SELECT ${tokenColumns} FROM token WHERE token.id = ?`);
  const findByRevision = db.prepare<[number], TokenRow>(`SELECT ${tokenColumns} FROM token WHERE token.revision = ?`);
  const countLive = db.prepare<CountParameters, { live: number }>(
    `SELECT ${countTokens.neverExpiring} + ${countTokens.yetToExpire} AS live`,
  );
  const findByKey = db.prepare<[string, number], StoredTokenRow>(
    `SELECT ${storedTokenColumns} FROM token JOIN token_key ON token_key.token_revision = token.revision
     WHERE token.id = ? AND token_key.issue_revision = ?`,
  );
  const findKeys = db.prepare<[number], KeyRow>(
    "SELECT digest, issue_revision, ends_at_ms, end_revision FROM token_key WHERE token_revision = ?",
  );
  const insertChange = db.prepare<
    [number, number, string, Action, number | null, string | null, string | null, Uint8Array]
  >(
    `INSERT INTO journal (revision, at_ms, caller, action, token_revision, account, facts, hash)
     VALUES (?, ?, ?, ?, ?, ?, ?, ?)`,
  );
  const insertToken = db.prepare(
    `INSERT INTO token (revision, id, account, name, type, livemode, permissions, created_by, created_at_ms, expires_at_ms)
     VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
  );
  const insertKey = db.prepare<[Uint8Array, number, number, string]>(
    "INSERT INTO token_key (digest, token_revision, issue_revision, key_hint) VALUES (?, ?, ?, ?)",
  );
  // A request of 24 hours before may still stand there: it is forgotten by being replaced.
  const insertRequest = db.prepare(
    `INSERT OR REPLACE INTO create_request (caller, account, request_id, body_digest, token_revision, issue_revision, sealed_slot, at_ms)
     VALUES (?, ?, ?, ?, ?, ?, ?, ?)`,
  );
  const findMatching = db.prepare<[FilterParameters & { readonly revision: number }], RevocableRow>(
    `SELECT token.id, token.revision FROM token
     WHERE token.revision = :revision AND token.revoked_at_ms IS NULL AND ${filterConditions}`,
  );
  const moveEnd = db.prepare<[number | null, number | null, Uint8Array]>(
    "UPDATE token_key SET ends_at_ms = ?, end_revision = ? WHERE digest = ?",
  );
  const markRevoked = db.prepare<[number, string, number, number]>(
    `UPDATE token SET revoked_at_ms = ?, revoke_reason = ?, revoke_revision = ?
     WHERE revision = ? AND revoked_at_ms IS NULL`,
  );
  const findAccount = db.prepare<[string], AccountRow>(
    "SELECT hold_revision, close_revision FROM account_state WHERE account = ?",
  );
  const findHold = db.prepare<[number], Pick<AccountRow, "hold_revision">>(
    "SELECT hold_revision FROM token WHERE revision = ?",
  );
  const holdToken = db.prepare<[number | null, number]>("UPDATE token SET hold_revision = ? WHERE revision = ?");
  const holdAccount = db.prepare<[string, number]>("INSERT INTO account_state (account, hold_revision) VALUES (?, ?)");
  // Only an account that is not closed is given back: then nothing is left to say of it.
  const resumeAccount = db.prepare<[string]>("DELETE FROM account_state WHERE account = ?");
  const closeAccount = db.prepare<[string, number]>(
    `INSERT INTO account_state (account, close_revision) VALUES (?, ?)
     ON CONFLICT (account) DO UPDATE SET close_revision = excluded.close_revision`,
  );
  const findLastResumeOfToken = db.prepare<[number], Pick<JournalHead, "revision">>(
    `SELECT revision FROM journal INDEXED BY journal_later
     WHERE token_revision = ? AND action NOT IN ('create', 'revoke') AND action = 'resume'
     ORDER BY revision DESC LIMIT 1`,
  );
  const findLastResumeOfAccount = db.prepare<[string], Pick<JournalHead, "revision">>(
    `SELECT revision FROM journal INDEXED BY journal_by_account
     WHERE account = ? AND action = 'resume' ORDER BY revision DESC LIMIT 1`,
  );
  const findSealedKeys = db.prepare<[number], Pick<RequestRow, "issue_revision"> & { readonly sealed_slot: number }>(
    `SELECT issue_revision, sealed_slot FROM create_request
     WHERE token_revision = ? AND sealed_slot IS NOT NULL`,
  );
  const dropSealedKey = db.prepare<[number, number]>(
    "UPDATE create_request SET sealed_slot = NULL WHERE token_revision = ? AND issue_revision = ?",
  );

  let head: JournalHead = selectJournalHead(db)() ?? emptyHead;
  /**
   * The most live tokens that an account can have: counted once, and one more for each Create since, also one that was
   * rolled back.
   */
  const mostLive = new Map<string, number>();
  /** Among the changes of this run: the clock of an earlier run may have been ahead and set right since. */
  let newestMs = Number.NEGATIVE_INFINITY;

  function eraseSealedKey(slot: number | null): void {
    if (slot !== null) {
      sealedKeys.erase(slot);
    }
  }

  return {
    head: () => head,
    takeBackTo(before) {
      head = before;
    },
    earliestMs: () => newestMs,
    findToken(id) {
      const row = findById.get(id);
      return row === undefined ? null : toToken(row);
    },
    findTokenByRevision(createRevision) {
      const row = findByRevision.get(createRevision);
      return row === undefined ? null : toToken(row);
    },
    findByKey(id, issueRevision) {
      const row = findByKey.get(id, issueRevision);
      return row === undefined ? null : toStoredToken(row);
    },
    findKeys(createRevision) {
      return findKeys.all(createRevision).map(
        (row): LedgerKey => ({
          digest: row.digest,
          issueRevision: row.issue_revision,
          endsAtMs: row.ends_at_ms,
          endRevision: row.end_revision,
        }),
      );
    },
    findHold(createRevision) {
      return findHold.get(createRevision)?.hold_revision ?? null;
    },
    findAccount(account) {
      const row = findAccount.get(account);
      return row === undefined ? null : { holdRevision: row.hold_revision, closeRevision: row.close_revision };
    },
    findLastResumeOfToken(createRevision) {
      return findLastResumeOfToken.get(createRevision)?.revision ?? null;
    },
    findLastResumeOfAccount(account) {
      return findLastResumeOfAccount.get(account)?.revision ?? null;
    },
    findRequest(caller, account, requestId) {
      const row = findRequest.get(caller, account, requestId);
      if (row === undefined) {
        return null;
      }
      const { body_digest: bodyDigest, token_revision: tokenRevision, issue_revision: issueRevision } = row;
      const readSealedKey = () => (row.sealed_slot === null ? null : sealedKeys.get(row.sealed_slot));
      return { bodyDigest, tokenRevision, issueRevision, atMs: row.at_ms, readSealedKey };
    },
    /**
     * Counting costs a microsecond for every 20 tokens of the account, so it is done again only when the account may be
     * full.
     */
    isFull(account, maxLiveTokens, nowMs) {
      if ((mostLive.get(account) ?? maxLiveTokens) < maxLiveTokens) {
        return false;
      }
      const row = countLive.get({ account, now_ms: nowMs, max: maxLiveTokens });
      if (row === undefined || row.live >= maxLiveTokens) {
        return true;
      }
      if (mostLive.size >= maxAccountsKept) {
        mostLive.clear();
      }
      mostLive.set(account, row.live);
      return false;
    },
    findMatching(createRevisions, filter, nowMs) {
      const parameters = toFilterParameters(filter, nowMs);
      return [...new Set(createRevisions)].flatMap((revision) => {
        const row = findMatching.get({ ...parameters, revision });
        return row === undefined ? [] : [{ id: row.id, createRevision: row.revision }];
      });
    },
    append({ revision, atMs, caller, action, tokenRevision, account, facts, hash }) {
      insertChange.run(revision, atMs, caller, action, tokenRevision, account, facts, hash);
      newestMs = atMs;
      head = { revision, atMs, hash };
    },
    insertToken(token, { revision, atMs, caller }) {
      insertToken.run(
        revision,
        token.id,
        token.account,
        token.name,
        token.type,
        token.livemode ? 1 : 0,
        JSON.stringify(token.permissions),
        caller,
        atMs,
        token.expiresAtMs,
      );
      mostLive.set(token.account, (mostLive.get(token.account) ?? 0) + 1);
    },
    insertKey({ digest, keyHint }, createRevision, issueRevision) {
      insertKey.run(digest, createRevision, issueRevision, keyHint);
    },
    moveEnd({ digest }, _createRevision, endsAtMs, revision) {
      moveEnd.run(endsAtMs, endsAtMs === null ? null : revision, digest);
    },
    markRevoked(createRevision, { atMs, revision }, reason) {
      markRevoked.run(atMs, reason, revision, createRevision);
    },
    holdToken(createRevision, revision) {
      holdToken.run(revision, createRevision);
    },
    holdAccount(account, revision) {
      holdAccount.run(account, revision);
    },
    resumeAccount(account) {
      resumeAccount.run(account);
    },
    closeAccount(account, revision) {
      closeAccount.run(account, revision);
    },
    putRequest(request, { account, createRevision }, { caller, revision, atMs }) {
      // Of a request that is forgotten by now. Read again: its key may have ended with this very change.
      eraseSealedKey(findRequest.get(caller, account, request.id)?.sealed_slot ?? null);
      const slot = sealedKeys.put(request.sealedKey);
      insertRequest.run(caller, account, request.id, request.bodyDigest, createRevision, revision, slot, atMs);
    },
    eraseSealedKeys(createRevision, issueRevisions) {
      for (const { issue_revision, sealed_slot } of findSealedKeys.all(createRevision)) {
        if (issueRevisions === null || issueRevisions.includes(issue_revision)) {
          eraseSealedKey(sealed_slot);
          dropSealedKey.run(createRevision, issue_revision);
        }
      }
    },
  };
}
