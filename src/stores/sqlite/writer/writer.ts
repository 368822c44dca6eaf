import type Database from "better-sqlite3";
import { makerRefusal } from "../../../authority/delegation.ts";
import {
  type Action,
  type ChangeContext,
  createFacts,
  emptyHead,
  hashChange,
  type JournalHead,
  type KeyEnd,
  type KeyFacts,
  keyFacts,
  type MadeChange,
  reasonFacts,
} from "../../../authority/journal.ts";
import { endsByRotation, liveKeys, planRotationEnd } from "../../../authority/rotation.ts";
import { isExpired, type StoredToken, stateOf, type Token } from "../../../authority/token.ts";
import {
  type CreateOutcome,
  type CreateRequestRecord,
  type EndRotationOutcome,
  type HoldOutcome,
  type HoldSet,
  lastUsePrecisionMs,
  type MakerRefused,
  maxKeysOfToken,
  type NewToken,
  type Replayed,
  type RevokeOutcome,
  type RotateOutcome,
  requestMemoryMs,
  type TokenUse,
} from "../../../authority/token-store.ts";
import { type StoredTokenRow, type TokenRow, toStoredToken, toToken } from "../../reading/token-row.ts";
import { type CountParameters, countTokens } from "../count-tokens.ts";
import { selectJournalHead } from "../journal-head.ts";
import { type FilterParameters, filterConditions, toFilterParameters } from "../token-filter.ts";
import { storedTokenColumns, tokenColumns } from "../token-row.ts";
import type {
  CloseCall,
  CreateCall,
  EndRotationCall,
  HoldCall,
  RevokeCall,
  RevokeMatchingCall,
  RotateKeyCall,
} from "../writer-call.ts";
import { createSealedKeys } from "./sealed-keys.ts";

/** Changes the database. Everything but `transact` must run within it. */
export type Writer = {
  /**
   * Runs the work in one transaction, and returns only when its changes would survive a power cut. When it throws,
   * nothing has changed.
   */
  transact<T>(work: () => T): T;
  /** The newest change. */
  head(): JournalHead;
  create(call: CreateCall, isStorageLow: () => boolean): CreateOutcome;
  rotateKey(call: RotateKeyCall, isStorageLow: () => boolean): RotateOutcome | null;
  endRotation(call: EndRotationCall): EndRotationOutcome | null;
  revoke(call: RevokeCall): RevokeOutcome | null;
  revokeMatching(call: RevokeMatchingCall): readonly MadeChange[];
  setHold(call: HoldCall): HoldOutcome | null;
  closeAccount(call: CloseCall): HoldSet;
  /**
   * Gives keys of the token the ends that another database gave them, and passes over keys that are not there. Null
   * when no token has this id; without a change when all of them have these ends.
   */
  endKeys(order: KeyEndOrder): { readonly token: Token; readonly change: MadeChange | null } | null;
  recordUses(uses: readonly TokenUse[]): void;
  /** Forgets some of the due records and returns how many: ask again until there are none. */
  forgetSomeRequests(nowMs: number): number;
};

const maxUses = 1000;
const maxRevokedAtOnce = 100;
const maxForgottenAtOnce = 500;
const maxAccountsKept = 10_000;

type RevocableRow = { readonly id: string; readonly revision: number };
/** What a change is done to. A token that the change itself creates has no revision yet. */
type ChangedThing = { readonly id: string; readonly createRevision: number | null } | { readonly account: string };

export type KeyEndOrder = {
  readonly id: string;
  readonly ends: readonly KeyEnd[];
  readonly context: ChangeContext;
};

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

/** The statements of the one writing connection, in the order that each method runs them: checks first, then writes. */
export function createWriter(db: Database.Database): Writer {
  const begin = db.prepare("BEGIN IMMEDIATE");
  const commit = db.prepare("COMMIT");
  const rollback = db.prepare("ROLLBACK");
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
  const upsertUse = db.prepare<[number, number, number]>(
    `INSERT INTO last_use (issue_revision, used_at_ms) VALUES (?, ?)
     ON CONFLICT (issue_revision) DO UPDATE SET used_at_ms = excluded.used_at_ms
     WHERE excluded.used_at_ms >= last_use.used_at_ms + ?`,
  );
  const forgetRequests = db.prepare<[number, number], Pick<RequestRow, "sealed_slot">>(
    "DELETE FROM create_request WHERE at_ms <= ? RETURNING sealed_slot ORDER BY at_ms LIMIT ?",
  );
  const sealedKeys = createSealedKeys(db);

  let head: JournalHead = selectJournalHead(db)() ?? emptyHead;
  /**
   * The most live tokens that an account can have: counted once, and one more for each Create since, also one that was
   * rolled back.
   */
  const mostLive = new Map<string, number>();
  /** Among the changes of this run: the clock of an earlier run may have been ahead and set right since. */
  let newestMs = Number.NEGATIVE_INFINITY;

  /** Threads read the clock and then ask: what comes later may have read the earlier time. */
  function timeOf({ atMs }: ChangeContext): number {
    return Math.max(atMs, newestMs);
  }

  function appendToJournal(
    action: Action,
    on: ChangedThing,
    facts: string,
    context: ChangeContext,
    { ends = [], reason = "" }: Partial<Pick<MadeChange, "ends" | "reason">> = {},
  ): MadeChange {
    const { caller } = context;
    const revision = head.revision + 1;
    const atMs = timeOf(context);
    newestMs = atMs;
    const subject = "id" in on ? { tokenId: on.id } : on;
    const hash = hashChange(head.hash, { revision, atMs, caller, action, subject }, facts);
    // A created token is its facts, and they are not kept twice.
    const kept = action === "create" ? null : facts;
    const [token, account] = "id" in on ? [on.createRevision ?? revision, null] : [null, on.account];
    insertChange.run(revision, atMs, caller, action, token, account, kept, hash);
    head = { revision, atMs, hash };
    return { revision, atMs, hash, caller, action, subject, ends, reason };
  }

  /** What the same caller has asked for with this id, unless it is forgotten by now. */
  function findEarlier(request: CreateRequestRecord | null, account: string, context: ChangeContext) {
    const row = request === null ? undefined : findRequest.get(context.caller, account, request.id);
    return { row, isRemembered: row !== undefined && row.at_ms > context.atMs - requestMemoryMs };
  }

  function remember(
    request: CreateRequestRecord,
    { account, createRevision }: Pick<StoredToken, "account" | "createRevision">,
    { caller, revision, atMs }: MadeChange,
  ): void {
    // Of a request that is forgotten by now. Read again: its key may have ended with this very change.
    eraseSealedKey(findRequest.get(caller, account, request.id)?.sealed_slot ?? null);
    const slot = sealedKeys.put(request.sealedKey);
    insertRequest.run(caller, account, request.id, request.bodyDigest, createRevision, revision, slot, atMs);
  }

  function replay(
    row: RequestRow,
    request: CreateRequestRecord,
    nowMs: number,
  ): Replayed | { readonly kind: "request_id_reused" } {
    if (Buffer.compare(row.body_digest, request.bodyDigest) !== 0) {
      return { kind: "request_id_reused" };
    }
    const created = findByRevision.get(row.token_revision);
    if (created === undefined) {
      throw new Error(`no token has the revision ${row.token_revision} that a request names`);
    }
    const token = toToken(created);
    const { issue_revision: issueRevision, sealed_slot: slot } = row;
    const isOver =
      token.revokedAtMs !== null || !liveKeys(token, nowMs).some((key) => key.issueRevision === issueRevision);
    const sealedKey = slot === null || isOver ? null : sealedKeys.get(slot);
    return { kind: "replayed", token, issueRevision, sealedKey, isOver };
  }

  /** Erases the sealed keys of a token, or of these keys alone. */
  function eraseSealedKeys(tokenRevision: number, issueRevisions: readonly number[] | null): void {
    for (const { issue_revision, sealed_slot } of findSealedKeys.all(tokenRevision)) {
      if (issueRevisions === null || issueRevisions.includes(issue_revision)) {
        eraseSealedKey(sealed_slot);
        dropSealedKey.run(tokenRevision, issue_revision);
      }
    }
  }

  /** Appends the change to the journal, and gives the keys their ends. */
  function changeKeys(
    action: "rotate_key" | "end_key" | "cancel_rotation",
    token: Token,
    { issued, ends }: KeyFacts,
    context: ChangeContext,
  ): MadeChange {
    const digests = new Map(findKeys.all(token.createRevision).map((key) => [key.issue_revision, key.digest]));
    const keyEnds = ends.map(({ issueRevision, endsAtMs }) => {
      const digest = digests.get(issueRevision);
      if (digest === undefined) {
        throw new Error(`the token ${token.id} has no key of revision ${issueRevision}`);
      }
      return { digest, endsAtMs };
    });
    const change = appendToJournal(action, token, keyFacts({ issued, ends }), context, { ends: keyEnds });
    if (issued !== null) {
      insertKey.run(issued.digest, token.createRevision, change.revision, issued.keyHint);
    }
    for (const { digest, endsAtMs } of keyEnds) {
      moveEnd.run(endsAtMs, endsAtMs === null ? null : change.revision, digest);
    }
    const ended = ends.filter(({ endsAtMs }) => endsAtMs !== null && endsAtMs <= change.atMs);
    eraseSealedKeys(
      token.createRevision,
      ended.map(({ issueRevision }) => issueRevision),
    );
    return change;
  }

  function readAgain({ id }: Token): Token {
    const row = findById.get(id);
    if (row === undefined) {
      throw new Error(`the token ${id} is gone`);
    }
    return toToken(row);
  }

  /** The change that gave this key the end that it has. */
  function endRevisionOf({ createRevision }: Token, issueRevision: number): number {
    const key = findKeys.all(createRevision).find(({ issue_revision }) => issue_revision === issueRevision);
    return key?.end_revision ?? createRevision;
  }

  /** Why a bearer may not make this change; null for a service. */
  function refusalOfMaker(
    action: Parameters<typeof makerRefusal>[0],
    subject: Parameters<typeof makerRefusal>[2],
    context: ChangeContext,
  ): MakerRefused | null {
    if (context.bearerKey === null) {
      return null;
    }
    const row = findByKey.get(context.caller, context.bearerKey);
    const reason = makerRefusal(action, row === undefined ? null : toStoredToken(row), subject, timeOf(context));
    return reason === null ? null : { kind: "maker_refused", reason };
  }

  function setHoldOfToken(id: string, held: boolean, reason: string, context: ChangeContext): HoldOutcome | null {
    const row = findById.get(id);
    if (row === undefined) {
      return null;
    }
    const { revision: token, hold_revision } = row;
    if (held === (hold_revision !== null)) {
      return { kind: "set", revision: hold_revision ?? findLastResumeOfToken.get(token)?.revision ?? 0, change: null };
    }
    const on = { id, createRevision: token };
    const change = appendToJournal(held ? "hold" : "resume", on, reasonFacts(reason), context, { reason });
    holdToken.run(held ? change.revision : null, token);
    return { kind: "set", revision: change.revision, change };
  }

  function setHoldOfAccount(account: string, held: boolean, reason: string, context: ChangeContext): HoldOutcome {
    const { hold_revision = null, close_revision = null } = findAccount.get(account) ?? {};
    if (close_revision !== null) {
      return { kind: "account_closed" };
    }
    if (held === (hold_revision !== null)) {
      const revision = hold_revision ?? findLastResumeOfAccount.get(account)?.revision ?? 0;
      return { kind: "set", revision, change: null };
    }
    const change = appendToJournal(held ? "hold" : "resume", { account }, reasonFacts(reason), context, { reason });
    if (held) {
      holdAccount.run(account, change.revision);
    } else {
      resumeAccount.run(account);
    }
    return { kind: "set", revision: change.revision, change };
  }

  function eraseSealedKey(slot: number | null): void {
    if (slot !== null) {
      sealedKeys.erase(slot);
    }
  }

  /**
   * Counting costs a microsecond for every 20 tokens of the account, so it is done again only when the account may be
   * full.
   */
  function isLimitReached(account: string, maxLiveTokens: number, nowMs: number): boolean {
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
  }

  /** Of a token that is not revoked. */
  function end(
    token: { readonly id: string; readonly createRevision: number },
    reason: string,
    context: ChangeContext,
  ): MadeChange {
    const change = appendToJournal("revoke", token, reasonFacts(reason), context, { reason });
    markRevoked.run(change.atMs, reason, change.revision, token.createRevision);
    eraseSealedKeys(token.createRevision, null);
    return change;
  }

  return {
    transact(work) {
      const headBefore = head;
      begin.run();
      try {
        const result = work();
        commit.run();
        return result;
      } catch (error) {
        head = headBefore;
        // A full disk, among others, may have rolled back already.
        if (db.inTransaction) {
          rollback.run();
        }
        throw error;
      }
    },

    head: () => head,

    create({ token, request, maxLiveTokens, context }, isStorageLow) {
      const refused = refusalOfMaker("create", token, context);
      if (refused !== null) {
        return refused;
      }
      const state = findAccount.get(token.account);
      if (state !== undefined && state.close_revision !== null) {
        return { kind: "account_closed" };
      }
      const earlier = findEarlier(request, token.account, context);
      if (request !== null && earlier.row !== undefined && earlier.isRemembered) {
        return replay(earlier.row, request, timeOf(context));
      }
      if (isExpired(token, context.atMs)) {
        return { kind: "already_expired" };
      }
      if (isLimitReached(token.account, maxLiveTokens, context.atMs)) {
        return { kind: "limit_reached" };
      }
      if (isStorageLow()) {
        return { kind: "storage_low" };
      }
      const change = appendToJournal(
        "create",
        { id: token.id, createRevision: null },
        createFacts(token, token.digest),
        context,
      );
      insertToken.run(
        change.revision,
        token.id,
        token.account,
        token.name,
        token.type,
        token.livemode ? 1 : 0,
        JSON.stringify(token.permissions),
        context.caller,
        change.atMs,
        token.expiresAtMs,
      );
      insertKey.run(token.digest, change.revision, change.revision, token.keyHint);
      mostLive.set(token.account, (mostLive.get(token.account) ?? 0) + 1);
      // Of an account that is not closed, something is only said while it is held.
      const created = asCreated(token, change, context.caller, state === undefined ? "active" : "held");
      if (request !== null) {
        remember(request, created, change);
      }
      return { kind: "created", token: created, change };
    },

    rotateKey({ id, key, overlapMs, request, context }, isStorageLow) {
      const row = findById.get(id);
      if (row === undefined) {
        return null;
      }
      const token = toToken(row);
      const refused = refusalOfMaker("rotate", token, context);
      if (refused !== null) {
        return refused;
      }
      if (token.accountState === "closed") {
        return { kind: "account_closed" };
      }
      const nowMs = timeOf(context);
      const earlier = findEarlier(request, token.account, context);
      if (request !== null && earlier.row !== undefined && earlier.isRemembered) {
        return replay(earlier.row, request, nowMs);
      }
      if (stateOf(token, nowMs) !== "active") {
        return { kind: "token_not_active" };
      }
      const ends = endsByRotation(token, overlapMs, nowMs, context.bearerKey);
      if (ends === null) {
        return { kind: "rotation_under_way" };
      }
      if (token.keys.length >= maxKeysOfToken) {
        return { kind: "key_limit_reached" };
      }
      if (isStorageLow()) {
        return { kind: "storage_low" };
      }
      const change = changeKeys("rotate_key", token, { issued: key, ends }, context);
      if (request !== null) {
        remember(request, token, change);
      }
      return { kind: "rotated", token: readAgain(token), change };
    },

    endRotation({ id, end, context }) {
      const row = findById.get(id);
      if (row === undefined) {
        return null;
      }
      const token = toToken(row);
      const refused = refusalOfMaker("end_rotation", token, context);
      if (refused !== null) {
        return refused;
      }
      const nowMs = timeOf(context);
      if (stateOf(token, nowMs) !== "active") {
        return { kind: "token_not_active" };
      }
      const planned = planRotationEnd(token, end, nowMs);
      switch (planned.kind) {
        case "change": {
          const change = changeKeys(planned.action, token, { issued: null, ends: planned.ends }, context);
          return { kind: "ended", token: readAgain(token), change, revision: change.revision };
        }
        case "done":
          return { kind: "ended", token, change: null, revision: endRevisionOf(token, planned.endedKey) };
        default:
          return planned;
      }
    },

    revoke({ id, reason, context }) {
      const row = findById.get(id);
      if (row === undefined) {
        return null;
      }
      const token: Token = toToken(row);
      const refused = refusalOfMaker("revoke", token, context);
      if (refused !== null) {
        return refused;
      }
      if (token.revokedAtMs !== null) {
        return { kind: "revoked", token, change: null };
      }
      const change = end(token, reason, context);
      return {
        kind: "revoked",
        token: { ...token, revokedAtMs: change.atMs, revokeReason: reason, revokeRevision: change.revision },
        change,
      };
    },

    revokeMatching({ createRevisions, filter, reason, context }) {
      if (createRevisions.length > maxRevokedAtOnce) {
        throw new RangeError(`${createRevisions.length} tokens at once are more than ${maxRevokedAtOnce}`);
      }
      const parameters = toFilterParameters(filter, timeOf(context));
      return createRevisions.flatMap((revision) => {
        const row = findMatching.get({ ...parameters, revision });
        return row === undefined ? [] : [end({ id: row.id, createRevision: row.revision }, reason, context)];
      });
    },

    endKeys({ id, ends, context }) {
      const row = findById.get(id);
      if (row === undefined) {
        return null;
      }
      const token = toToken(row);
      const moved = findKeys.all(token.createRevision).flatMap((key) => {
        const end = ends.find(({ digest }) => Buffer.compare(digest, key.digest) === 0);
        return end === undefined || end.endsAtMs === key.ends_at_ms
          ? []
          : [{ issueRevision: key.issue_revision, endsAtMs: end.endsAtMs }];
      });
      if (moved.length === 0) {
        return { token, change: null };
      }
      return { token, change: changeKeys("end_key", token, { issued: null, ends: moved }, context) };
    },

    setHold({ subject, held, reason, context }) {
      return "tokenId" in subject
        ? setHoldOfToken(subject.tokenId, held, reason, context)
        : setHoldOfAccount(subject.account, held, reason, context);
    },

    closeAccount({ account, reason, context }) {
      const closed = findAccount.get(account)?.close_revision ?? null;
      if (closed !== null) {
        return { kind: "set", revision: closed, change: null };
      }
      const change = appendToJournal("close", { account }, reasonFacts(reason), context, { reason });
      closeAccount.run(account, change.revision);
      return { kind: "set", revision: change.revision, change };
    },

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
        eraseSealedKey(sealed_slot);
      }
      return forgotten.length;
    },
  };
}

function asCreated(
  token: NewToken,
  change: JournalHead,
  createdBy: string,
  accountState: StoredToken["accountState"],
): StoredToken {
  return {
    id: token.id,
    account: token.account,
    name: token.name,
    type: token.type,
    livemode: token.livemode,
    keyHint: token.keyHint,
    permissions: token.permissions,
    createdBy,
    createdAtMs: change.atMs,
    expiresAtMs: token.expiresAtMs,
    revokedAtMs: null,
    revokeReason: "",
    createRevision: change.revision,
    issueRevision: change.revision,
    keyEndsAtMs: null,
    revokeRevision: null,
    held: false,
    accountState,
  };
}
