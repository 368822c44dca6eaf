import { emptyHead, type JournalHead } from "../../../authority/journal.ts";
import type { ChangeCall, CreateCall, RevokeMatchingCall } from "../../changes/change-call.ts";
import type { LedgerKey } from "../../changes/ledger.ts";
import { type TokenRow, toToken } from "../../reading/token-row.ts";
import { schemaVersion } from "../schema.ts";
import type { Session, Statement } from "../session.ts";
import { collectValues } from "../statement-text.ts";
import { filterConditions } from "../token-filter.ts";
import { tokenColumns } from "../token-row.ts";
import {
  countedTo,
  type ReadAccount,
  type ReadCount,
  type ReadRequest,
  type ReadRows,
  type ReadToken,
} from "./working-set.ts";

export const begin: Statement = { name: "", text: "BEGIN ISOLATION LEVEL READ COMMITTED" };

/** First of all: what is read from then on is read with everything that was changed before. */
const lock: Statement = {
  name: "lock_changes",
  text: `SELECT oldest_version, sealing_fingerprint,
      extract(epoch FROM clock_timestamp())::float8 * 1000 AS database_ms
    FROM token_authority.authority WHERE only_row = 1 FOR UPDATE`,
};

export const readHead: Statement = {
  name: "read_journal_head",
  text: "SELECT revision, at_ms, hash FROM token_authority.journal ORDER BY revision DESC LIMIT 1",
};

/** Beside what a token says: what stands of its account, and the digests and ends of its keys, oldest first. */
const tokens = `SELECT ${tokenColumns}, account_state.hold_revision AS account_hold_revision,
    account_state.close_revision AS account_close_revision,
    (SELECT json_agg(json_build_array(encode(token_key.digest, 'hex'), token_key.end_revision)
        ORDER BY token_key.issue_revision)
      FROM token_authority.token_key WHERE token_key.token_revision = token.revision) AS ledger_keys
  FROM token_authority.token
    LEFT JOIN token_authority.account_state ON account_state.account = token.account`;

const readTokens: Statement = { name: "read_changed_tokens", text: `${tokens} WHERE token.id = ANY ($1::text[])` };
const readReplayedTokens: Statement = {
  name: "read_replayed_tokens",
  text: `${tokens} WHERE token.revision = ANY ($1::bigint[])`,
};

const readAccounts: Statement = {
  name: "read_accounts",
  text: `SELECT account, hold_revision, close_revision FROM token_authority.account_state
    WHERE account = ANY ($1::text[])`,
};

/**
 * A rotation asks in the account of its token. The limit has a server look for one request after the other: one that
 * takes the table for empty would else read all of it.
 */
const readRequests: Statement = {
  name: "read_requests",
  text: `WITH asked AS MATERIALIZED (
      SELECT caller, request_id, coalesce(asked.account,
        (SELECT token.account FROM token_authority.token WHERE token.id = asked.token_id)) AS account
      FROM unnest($1::text[], $2::text[], $3::text[], $4::text[]) AS asked (caller, account, token_id, request_id))
    SELECT request.* FROM asked CROSS JOIN LATERAL (
      SELECT caller, account, request_id, body_digest, token_revision, issue_revision, sealed_key, at_ms
      FROM token_authority.create_request WHERE create_request.caller = asked.caller
        AND create_request.account = asked.account AND create_request.request_id = asked.request_id LIMIT 1) AS request`,
};

const unrevoked = "FROM token_authority.token WHERE account = asked.account AND revoked_at_ms IS NULL";
const countLive: Statement = {
  name: "count_live",
  text: `SELECT asked.account,
      (SELECT count(*) FROM (SELECT ${unrevoked} AND expires_at_ms IS NULL LIMIT asked.most) AS never)
        + (SELECT count(*) FROM (SELECT ${unrevoked} AND expires_at_ms > asked.latest LIMIT asked.most) AS later)
        AS living,
      to_json(ARRAY(SELECT expires_at_ms ${unrevoked} AND expires_at_ms > asked.earliest
        AND expires_at_ms <= asked.latest ORDER BY expires_at_ms DESC LIMIT asked.most)) AS ends
    FROM unnest($1::text[], $2::bigint[], $3::bigint[], $4::bigint[]) AS asked (account, earliest, latest, most)`,
};

const readResumesOfTokens: Statement = {
  name: "read_resumes_of_tokens",
  text: `SELECT token.revision AS of, resume.revision FROM token_authority.token CROSS JOIN LATERAL
      (SELECT revision FROM token_authority.journal WHERE token_revision = token.revision
        AND action NOT IN ('create', 'revoke') AND action = 'resume' ORDER BY revision DESC LIMIT 1) AS resume
    WHERE token.id = ANY ($1::text[])`,
};
const readResumesOfAccounts: Statement = {
  name: "read_resumes_of_accounts",
  text: `SELECT asked.account AS of, resume.revision FROM unnest($1::text[]) AS asked (account) CROSS JOIN LATERAL
      (SELECT revision FROM token_authority.journal WHERE journal.account = asked.account AND action = 'resume'
        ORDER BY revision DESC LIMIT 1) AS resume`,
};

/** What changes are decided by. */
export const readsOfChanges: readonly Statement[] = [
  lock,
  readHead,
  readTokens,
  readReplayedTokens,
  readAccounts,
  readRequests,
  countLive,
  readResumesOfTokens,
  readResumesOfAccounts,
];

/**
 * Begins a transaction, takes the lock, and reads what these calls may need: one round trip, and another one where a
 * request is answered again or a filter is to be asked.
 */
export async function beginAndRead(session: Session, calls: readonly ChangeCall[]): Promise<ReadRows> {
  const asked = whatIsAsked(calls);
  const steps = [
    session.run(begin),
    session.run<LockRow>(lock),
    session.run<HeadRow>(readHead),
    runFor<ReadTokenRow>(session, readTokens, [asked.tokenIds]),
    runFor<AccountRow>(session, readAccounts, [asked.accounts]),
    runFor<RequestRow>(session, readRequests, columnsOf(asked.requests, 4)),
    runFor<CountRow>(session, countLive, columnsOf(asked.counts, 4)),
    runFor<ResumeRow<number>>(session, readResumesOfTokens, [asked.releasedTokens]),
    runFor<ResumeRow<string>>(session, readResumesOfAccounts, [asked.releasedAccounts]),
  ] as const;
  await inOrder(steps);
  const [, locked, heads, found, accounts, requests, counts, resumesOfTokens, resumesOfAccounts] =
    await Promise.all(steps);
  const { database_ms: databaseMs, sealing_fingerprint: sealingFingerprint } = requireServed(locked.rows[0]);
  const head = heads.rows[0] === undefined ? emptyHead : toHead(heads.rows[0]);
  const known = new Set(found.rows.map(({ revision }) => revision));
  const replayed = requests.rows.map((row) => row.token_revision).filter((revision) => !known.has(revision));
  const others = await runFor<ReadTokenRow>(session, readReplayedTokens, [[...new Set(replayed)]]);
  const rows = [...found.rows, ...others.rows];
  const bulk = calls.find((call) => call.method === "revokeMatching");
  return {
    databaseMs,
    sealingFingerprint,
    head,
    tokens: rows.map(toReadToken),
    accounts: [...rows.flatMap(accountIn), ...accounts.rows.map(toAccount)],
    requests: requests.rows.map(toRequest),
    counts: counts.rows.map(({ account, living, ends }): ReadCount => ({ account, living, ends })),
    resumesOfTokens: new Map(resumesOfTokens.rows.map(({ of, revision }) => [of, revision])),
    resumesOfAccounts: new Map(resumesOfAccounts.rows.map(({ of, revision }) => [of, revision])),
    matching: bulk === undefined ? [] : await findMatching(session, bulk, head.atMs),
  };
}

/** The filter is asked at the time that the change will have. */
async function findMatching(
  session: Session,
  call: RevokeMatchingCall,
  earliestMs: number,
): Promise<ReadRows["matching"]> {
  const { statement, values } = matchingStatement(call, Math.max(call.context.atMs, earliestMs));
  const { rows } = await session.run<MatchingRow>(statement, values);
  const found = new Map(rows.map((row) => [row.revision, row]));
  return [...new Set(call.createRevisions)].flatMap((createRevision) => {
    const row = found.get(createRevision);
    return row === undefined || row.revoked_at_ms !== null ? [] : [{ id: row.id, createRevision }];
  });
}

/**
 * Finds those that pass, revoked ones too. The tokens are read first: a server that knows little of the table would go
 * along the index of another condition, and read all tokens of an account. Without a name, as a list.
 */
export function matchingStatement(
  { createRevisions, filter }: Pick<RevokeMatchingCall, "createRevisions" | "filter">,
  nowMs: number,
): { readonly statement: Statement; readonly values: readonly unknown[] } {
  const collected = collectValues();
  const asked = `SELECT * FROM token_authority.token WHERE revision = ANY (${collected.at(createRevisions)}::bigint[])`;
  const conditions = ["true", ...filterConditions(filter, nowMs, collected)].join(" AND ");
  const text = `WITH token AS MATERIALIZED (${asked}) SELECT id, revision, revoked_at_ms FROM token WHERE ${conditions}`;
  return { statement: { name: "", text }, values: collected.values };
}

/** Rejects as the first of them that fails, once all are answered: those behind it fail because of it. */
export async function inOrder(steps: readonly Promise<unknown>[]): Promise<void> {
  for (const result of await Promise.allSettled(steps)) {
    if (result.status === "rejected") {
      throw result.reason;
    }
  }
}

type Asked = {
  readonly tokenIds: readonly string[];
  readonly accounts: readonly string[];
  readonly requests: readonly (readonly [caller: string, account: string | null, tokenId: string | null, id: string])[];
  readonly counts: readonly (readonly [account: string, earliest: number, latest: number, most: number])[];
  readonly releasedTokens: readonly string[];
  readonly releasedAccounts: readonly string[];
};

function whatIsAsked(calls: readonly ChangeCall[]): Asked {
  const tokenIds = new Set<string>();
  const accounts = new Set<string>();
  const releasedTokens = new Set<string>();
  const releasedAccounts = new Set<string>();
  const requests: Asked["requests"][number][] = [];
  const creations: CreateCall[] = [];
  for (const call of calls) {
    if (call.context.bearerKey !== null) {
      tokenIds.add(call.context.caller);
    }
    switch (call.method) {
      case "create":
        accounts.add(call.token.account);
        creations.push(call);
        if (call.request !== null) {
          requests.push([call.context.caller, call.token.account, null, call.request.id]);
        }
        break;
      case "rotateKey":
        tokenIds.add(call.id);
        if (call.request !== null) {
          requests.push([call.context.caller, null, call.id, call.request.id]);
        }
        break;
      case "revoke":
      case "endRotation":
        tokenIds.add(call.id);
        break;
      case "setHold":
        if ("tokenId" in call.subject) {
          tokenIds.add(call.subject.tokenId);
          if (!call.held) {
            releasedTokens.add(call.subject.tokenId);
          }
        } else {
          accounts.add(call.subject.account);
          if (!call.held) {
            releasedAccounts.add(call.subject.account);
          }
        }
        break;
      case "closeAccount":
        accounts.add(call.account);
        break;
      case "revokeMatching":
        break;
    }
  }
  return {
    tokenIds: [...tokenIds],
    accounts: [...accounts],
    requests,
    counts: [...Map.groupBy(creations, ({ token }) => token.account)].map(([account, calls]) => {
      const times = calls.map(({ context }) => context.atMs);
      const most = Math.max(...calls.map(({ maxLiveTokens }) => maxLiveTokens));
      return [account, Math.min(...times), Math.max(...times), countedTo(most)];
    }),
    releasedTokens: [...releasedTokens],
    releasedAccounts: [...releasedAccounts],
  };
}

/** Rows as arrays, one a column. */
export function columnsOf(rows: readonly (readonly unknown[])[], columns: number): readonly (readonly unknown[])[] {
  return Array.from({ length: columns }, (_, column) => rows.map((row) => row[column]));
}

/** What is asked for nothing is not sent. */
function runFor<Row>(
  session: Session,
  statement: Statement,
  columns: readonly (readonly unknown[])[],
): Promise<{ readonly rows: readonly Row[] }> {
  return columns[0]?.length === 0 ? Promise.resolve({ rows: [] }) : session.run<Row>(statement, columns);
}

type LockRow = {
  readonly oldest_version: number;
  readonly sealing_fingerprint: Uint8Array | null;
  readonly database_ms: number;
};

function requireServed(row: LockRow | undefined): LockRow {
  if (row === undefined || row.oldest_version > schemaVersion) {
    throw new Error("the schema of the database serves newer releases only");
  }
  return row;
}

type HeadRow = { readonly revision: number; readonly at_ms: number; readonly hash: Uint8Array };
type AccountRow = {
  readonly account: string;
  readonly hold_revision: number | null;
  readonly close_revision: number | null;
};
type RequestRow = {
  readonly caller: string;
  readonly account: string;
  readonly request_id: string;
  readonly body_digest: Uint8Array;
  readonly token_revision: number;
  readonly issue_revision: number;
  readonly sealed_key: Uint8Array | null;
  readonly at_ms: number;
};
type CountRow = { readonly account: string; readonly living: number; readonly ends: readonly number[] };
type MatchingRow = { readonly id: string; readonly revision: number; readonly revoked_at_ms: number | null };
type ResumeRow<Of> = { readonly of: Of; readonly revision: number };
/** A token with all its keys, and beside them, in the same order, what a token does not say of them. */
type ReadTokenRow = TokenRow & {
  readonly account_hold_revision: number | null;
  readonly account_close_revision: number | null;
  readonly ledger_keys: readonly (readonly [digest: string, endRevision: number | null])[];
};

function toHead(row: HeadRow): JournalHead {
  return { revision: row.revision, atMs: row.at_ms, hash: row.hash };
}

function toAccount(row: AccountRow): ReadAccount {
  return { account: row.account, holdRevision: row.hold_revision, closeRevision: row.close_revision };
}

function accountIn(row: ReadTokenRow): readonly ReadAccount[] {
  const { account, account_hold_revision: holdRevision, account_close_revision: closeRevision } = row;
  return holdRevision === null && closeRevision === null ? [] : [{ account, holdRevision, closeRevision }];
}

function toRequest(row: RequestRow): ReadRequest {
  return {
    caller: row.caller,
    account: row.account,
    requestId: row.request_id,
    bodyDigest: row.body_digest,
    tokenRevision: row.token_revision,
    issueRevision: row.issue_revision,
    sealedKey: row.sealed_key,
    atMs: row.at_ms,
  };
}

function toReadToken(row: ReadTokenRow): ReadToken {
  const token = toToken(row);
  const keys = token.keys.toReversed().map(({ issueRevision, endsAtMs }, index): LedgerKey => {
    const [digest = "", endRevision = null] = row.ledger_keys[index] ?? [];
    return { digest: Buffer.from(digest, "hex"), issueRevision, endsAtMs, endRevision };
  });
  return { token, keys, holdRevision: row.hold_revision };
}
