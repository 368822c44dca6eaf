import type { Answer, Session, Statement } from "../session.ts";
import { columnsOf } from "./batch-reads.ts";
import type { Writes } from "./working-set.ts";

/** Done only when it is answered with COMMIT, and without a warning. */
export const commit: Statement = { name: "", text: "COMMIT" };

const insertChanges: Statement = {
  name: "insert_changes",
  text: `INSERT INTO token_authority.journal (revision, at_ms, caller, action, token_revision, account, facts, hash)
    SELECT * FROM unnest($1::bigint[], $2::bigint[], $3::text[], $4::text[], $5::bigint[], $6::text[], $7::text[],
      $8::bytea[])`,
};

const insertTokens: Statement = {
  name: "insert_tokens",
  text: `INSERT INTO token_authority.token (revision, id, account, name, type, livemode, permissions, created_by,
      created_at_ms, expires_at_ms)
    SELECT * FROM unnest($1::bigint[], $2::text[], $3::text[], $4::text[], $5::text[], $6::boolean[], $7::text[],
      $8::text[], $9::bigint[], $10::bigint[])`,
};

const insertKeys: Statement = {
  name: "insert_keys",
  text: `INSERT INTO token_authority.token_key (digest, token_revision, issue_revision, key_hint)
    SELECT * FROM unnest($1::bytea[], $2::bigint[], $3::bigint[], $4::text[])`,
};

/**
 * Here and below, what is changed is named once more: a server that takes the table for empty, because it was when it
 * last looked, would else read all of it.
 */
const moveEnds: Statement = {
  name: "move_ends",
  text: `UPDATE token_authority.token_key SET ends_at_ms = moved.ends_at_ms, end_revision = moved.end_revision
    FROM unnest($1::bytea[], $2::bigint[], $3::bigint[]) AS moved (digest, ends_at_ms, end_revision)
    WHERE token_key.digest = moved.digest AND token_key.digest = ANY ($1::bytea[])`,
};

const markRevoked: Statement = {
  name: "mark_revoked",
  text: `UPDATE token_authority.token SET revoked_at_ms = revoked.at_ms, revoke_reason = revoked.reason,
      revoke_revision = revoked.revision
    FROM unnest($1::bigint[], $2::bigint[], $3::text[], $4::bigint[]) AS revoked (token_revision, at_ms, reason, revision)
    WHERE token.revision = revoked.token_revision AND token.revision = ANY ($1::bigint[])`,
};

const holdTokens: Statement = {
  name: "hold_tokens",
  text: `UPDATE token_authority.token SET hold_revision = held.hold_revision
    FROM unnest($1::bigint[], $2::bigint[]) AS held (token_revision, hold_revision)
    WHERE token.revision = held.token_revision AND token.revision = ANY ($1::bigint[])`,
};

const dropAccounts: Statement = {
  name: "drop_accounts",
  text: "DELETE FROM token_authority.account_state WHERE account = ANY ($1::text[])",
};

const putAccounts: Statement = {
  name: "put_accounts",
  text: `INSERT INTO token_authority.account_state (account, hold_revision, close_revision)
    SELECT * FROM unnest($1::text[], $2::bigint[], $3::bigint[])
    ON CONFLICT (account) DO UPDATE SET hold_revision = excluded.hold_revision, close_revision = excluded.close_revision`,
};

const eraseSealedKeys: Statement = {
  name: "erase_sealed_keys",
  text: `UPDATE token_authority.create_request SET sealed_key = NULL
    FROM unnest($1::bigint[], $2::bigint[]) AS erased (token_revision, issue_revision)
    WHERE create_request.token_revision = erased.token_revision AND create_request.token_revision = ANY ($1::bigint[])
      AND sealed_key IS NOT NULL
      AND coalesce(create_request.issue_revision = erased.issue_revision, true)`,
};

/** A request of 24 hours before may still stand there: it is forgotten by being replaced. */
const putRequests: Statement = {
  name: "put_requests",
  text: `INSERT INTO token_authority.create_request (caller, account, request_id, body_digest, token_revision,
      issue_revision, sealed_key, at_ms)
    SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::bytea[], $5::bigint[], $6::bigint[], $7::bytea[],
      $8::bigint[])
    ON CONFLICT (caller, account, request_id) DO UPDATE SET body_digest = excluded.body_digest,
      token_revision = excluded.token_revision, issue_revision = excluded.issue_revision,
      sealed_key = excluded.sealed_key, at_ms = excluded.at_ms`,
};

/** What changes look for the rows with that they change. */
export const updatesOfChanges: readonly Statement[] = [
  moveEnds,
  markRevoked,
  holdTokens,
  dropAccounts,
  eraseSealedKeys,
];

/** Sends everything that a batch has written, one statement a table, and returns what is under way. */
export function sendWrites(session: Session, writes: Writes): readonly Promise<Answer<unknown>>[] {
  const isKept = ({ holdRevision, closeRevision }: Writes["accounts"][number]) =>
    holdRevision !== null || closeRevision !== null;
  const sent: [Statement, number, readonly (readonly unknown[])[]][] = [
    [
      insertChanges,
      8,
      writes.changes.map((one) => [
        ...[one.revision, one.atMs, one.caller, one.action, one.tokenRevision, one.account, one.facts, one.hash],
      ]),
    ],
    [
      insertTokens,
      10,
      writes.tokens.map((one) => [
        ...[one.revision, one.id, one.account, one.name, one.type, one.livemode, JSON.stringify(one.permissions)],
        ...[one.createdBy, one.atMs, one.expiresAtMs],
      ]),
    ],
    [insertKeys, 4, writes.keys.map((one) => [one.digest, one.tokenRevision, one.issueRevision, one.keyHint])],
    [moveEnds, 3, writes.keyEnds.map((one) => [one.digest, one.endsAtMs, one.endRevision])],
    [markRevoked, 4, writes.revoked.map((one) => [one.tokenRevision, one.atMs, one.reason, one.revision])],
    [holdTokens, 2, writes.heldTokens.map((one) => [one.tokenRevision, one.holdRevision])],
    [dropAccounts, 1, writes.accounts.filter((one) => !isKept(one)).map((one) => [one.account])],
    [putAccounts, 3, writes.accounts.filter(isKept).map((one) => [one.account, one.holdRevision, one.closeRevision])],
    [eraseSealedKeys, 2, writes.erasedKeys.map((one) => [one.tokenRevision, one.issueRevision])],
    [
      putRequests,
      8,
      writes.requests.map((one) => [
        ...[one.caller, one.account, one.requestId, one.bodyDigest, one.tokenRevision, one.issueRevision],
        ...[one.sealedKey, one.atMs],
      ]),
    ],
  ];
  return sent
    .filter(([, , rows]) => rows.length > 0)
    .map(([statement, columns, rows]) => session.run(statement, columnsOf(rows, columns)));
}
