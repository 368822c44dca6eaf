import { makerRefusal } from "../../authority/delegation.ts";
import {
  type Action,
  type ChangeContext,
  createFacts,
  hashChange,
  type KeyEnd,
  type KeyFacts,
  keyFacts,
  type MadeChange,
  reasonFacts,
} from "../../authority/journal.ts";
import { endsByRotation, liveKeys, planRotationEnd } from "../../authority/rotation.ts";
import { isExpired, type StoredToken, stateOf, type Token } from "../../authority/token.ts";
import {
  type CreateOutcome,
  type CreateRequestRecord,
  type EndRotationOutcome,
  type HoldOutcome,
  type HoldSet,
  type MakerRefused,
  maxKeysOfToken,
  type NewToken,
  type Replayed,
  type RevokeOutcome,
  type RotateOutcome,
  requestMemoryMs,
} from "../../authority/token-store.ts";
import type {
  ChangeAnswer,
  ChangeCall,
  CloseCall,
  CreateCall,
  EndRotationCall,
  HoldCall,
  RevokeCall,
  RevokeMatchingCall,
  RotateKeyCall,
} from "./change-call.ts";
import type { Ledger, LedgerRequest } from "./ledger.ts";

/** Makes changes in a ledger by the rules that `TokenWrites` promises. Each must run within one transaction. */
export type ChangeMaker = {
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
};

export type KeyEndOrder = {
  readonly id: string;
  readonly ends: readonly KeyEnd[];
  readonly context: ChangeContext;
};

const maxRevokedAtOnce = 100;

/** What a change is done to. A token that the change itself creates has no revision yet. */
type ChangedThing = { readonly id: string; readonly createRevision: number | null } | { readonly account: string };

/** Runs one call. */
export function makeChange(maker: ChangeMaker, call: ChangeCall, isStorageLow: () => boolean): ChangeAnswer {
  switch (call.method) {
    case "create":
      return { method: "create", outcome: maker.create(call, isStorageLow) };
    case "revoke":
      return { method: "revoke", outcome: maker.revoke(call) };
    case "revokeMatching":
      return { method: "revokeMatching", changes: maker.revokeMatching(call) };
    case "rotateKey":
      return { method: "rotateKey", outcome: maker.rotateKey(call, isStorageLow) };
    case "endRotation":
      return { method: "endRotation", outcome: maker.endRotation(call) };
    case "setHold":
      return { method: "setHold", outcome: maker.setHold(call) };
    case "closeAccount":
      return { method: "closeAccount", outcome: maker.closeAccount(call) };
  }
}

/** Each method asks in the order in which refusals come: checks first, then writes. */
export function createChangeMaker(ledger: Ledger): ChangeMaker {
  /** Threads read the clock and then ask: what comes later may have read the earlier time. */
  function timeOf({ atMs }: ChangeContext): number {
    return Math.max(atMs, ledger.earliestMs());
  }

  function appendToJournal(
    action: Action,
    on: ChangedThing,
    facts: string,
    context: ChangeContext,
    { ends = [], reason = "" }: Partial<Pick<MadeChange, "ends" | "reason">> = {},
  ): MadeChange {
    const { caller } = context;
    const head = ledger.head();
    const revision = head.revision + 1;
    const atMs = timeOf(context);
    const subject = "id" in on ? { tokenId: on.id } : on;
    const hash = hashChange(head.hash, { revision, atMs, caller, action, subject }, facts);
    // A created token is its facts, and they are not kept twice.
    const kept = action === "create" ? null : facts;
    const [tokenRevision, account] = "id" in on ? [on.createRevision ?? revision, null] : [null, on.account];
    ledger.append({ revision, atMs, caller, action, tokenRevision, account, facts: kept, hash });
    return { revision, atMs, hash, caller, action, subject, ends, reason };
  }

  /** What the same caller has asked for with this id less than 24 hours before. */
  function findRemembered(
    request: CreateRequestRecord | null,
    account: string,
    { caller, atMs }: ChangeContext,
  ): LedgerRequest | null {
    const earlier = request === null ? null : ledger.findRequest(caller, account, request.id);
    return earlier !== null && earlier.atMs > atMs - requestMemoryMs ? earlier : null;
  }

  function replay(
    earlier: LedgerRequest,
    request: CreateRequestRecord,
    nowMs: number,
  ): Replayed | { readonly kind: "request_id_reused" } {
    if (Buffer.compare(earlier.bodyDigest, request.bodyDigest) !== 0) {
      return { kind: "request_id_reused" };
    }
    const { tokenRevision, issueRevision } = earlier;
    const token = ledger.findTokenByRevision(tokenRevision);
    if (token === null) {
      throw new Error(`no token has the revision ${tokenRevision} that a request names`);
    }
    const isOver =
      token.revokedAtMs !== null || !liveKeys(token, nowMs).some((key) => key.issueRevision === issueRevision);
    const sealedKey = isOver ? null : earlier.readSealedKey();
    return { kind: "replayed", token, issueRevision, sealedKey, isOver };
  }

  /** Appends the change to the journal, and gives the keys their ends. */
  function changeKeys(
    action: "rotate_key" | "end_key" | "cancel_rotation",
    token: Token,
    { issued, ends }: KeyFacts,
    context: ChangeContext,
  ): MadeChange {
    const keys = new Map(ledger.findKeys(token.createRevision).map((key) => [key.issueRevision, key]));
    const keyEnds = ends.map(({ issueRevision, endsAtMs }) => {
      const key = keys.get(issueRevision);
      if (key === undefined) {
        throw new Error(`the token ${token.id} has no key of revision ${issueRevision}`);
      }
      return { key, endsAtMs };
    });
    const change = appendToJournal(action, token, keyFacts({ issued, ends }), context, {
      ends: keyEnds.map(({ key, endsAtMs }) => ({ digest: key.digest, endsAtMs })),
    });
    if (issued !== null) {
      ledger.insertKey(issued, token.createRevision, change.revision);
    }
    for (const { key, endsAtMs } of keyEnds) {
      ledger.moveEnd(key, token.createRevision, endsAtMs, change.revision);
    }
    const ended = ends.filter(({ endsAtMs }) => endsAtMs !== null && endsAtMs <= change.atMs);
    ledger.eraseSealedKeys(
      token.createRevision,
      ended.map(({ issueRevision }) => issueRevision),
    );
    return change;
  }

  function readAgain({ id }: Token): Token {
    const token = ledger.findToken(id);
    if (token === null) {
      throw new Error(`the token ${id} is gone`);
    }
    return token;
  }

  /** The change that gave this key the end that it has. */
  function endRevisionOf({ createRevision }: Token, keyRevision: number): number {
    const key = ledger.findKeys(createRevision).find(({ issueRevision }) => issueRevision === keyRevision);
    return key?.endRevision ?? createRevision;
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
    const maker = ledger.findByKey(context.caller, context.bearerKey);
    const reason = makerRefusal(action, maker, subject, timeOf(context));
    return reason === null ? null : { kind: "maker_refused", reason };
  }

  function setHoldOfToken(id: string, held: boolean, reason: string, context: ChangeContext): HoldOutcome | null {
    const token = ledger.findToken(id);
    if (token === null) {
      return null;
    }
    const { createRevision } = token;
    if (held === token.held) {
      const revision = held ? ledger.findHold(createRevision) : ledger.findLastResumeOfToken(createRevision);
      return { kind: "set", revision: revision ?? 0, change: null };
    }
    const change = appendToJournal(held ? "hold" : "resume", token, reasonFacts(reason), context, { reason });
    ledger.holdToken(createRevision, held ? change.revision : null);
    return { kind: "set", revision: change.revision, change };
  }

  function setHoldOfAccount(account: string, held: boolean, reason: string, context: ChangeContext): HoldOutcome {
    const { holdRevision = null, closeRevision = null } = ledger.findAccount(account) ?? {};
    if (closeRevision !== null) {
      return { kind: "account_closed" };
    }
    if (held === (holdRevision !== null)) {
      const revision = holdRevision ?? ledger.findLastResumeOfAccount(account) ?? 0;
      return { kind: "set", revision, change: null };
    }
    const change = appendToJournal(held ? "hold" : "resume", { account }, reasonFacts(reason), context, { reason });
    if (held) {
      ledger.holdAccount(account, change.revision);
    } else {
      ledger.resumeAccount(account);
    }
    return { kind: "set", revision: change.revision, change };
  }

  /** Of a token that is not revoked. */
  function end(
    token: { readonly id: string; readonly createRevision: number },
    reason: string,
    context: ChangeContext,
  ): MadeChange {
    const change = appendToJournal("revoke", token, reasonFacts(reason), context, { reason });
    ledger.markRevoked(token.createRevision, change, reason);
    ledger.eraseSealedKeys(token.createRevision, null);
    return change;
  }

  return {
    create({ token, request, maxLiveTokens, context }, isStorageLow) {
      const refused = refusalOfMaker("create", token, context);
      if (refused !== null) {
        return refused;
      }
      const account = ledger.findAccount(token.account);
      if (account !== null && account.closeRevision !== null) {
        return { kind: "account_closed" };
      }
      const earlier = findRemembered(request, token.account, context);
      if (request !== null && earlier !== null) {
        return replay(earlier, request, timeOf(context));
      }
      if (isExpired(token, context.atMs)) {
        return { kind: "already_expired" };
      }
      if (ledger.isFull(token.account, maxLiveTokens, context.atMs)) {
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
      ledger.insertToken(token, change);
      ledger.insertKey(token, change.revision, change.revision);
      // Of an account that is not closed, something is only said while it is held.
      const created = asCreated(token, change, account === null ? "active" : "held");
      if (request !== null) {
        ledger.putRequest(request, created, change);
      }
      return { kind: "created", token: created, change };
    },

    rotateKey({ id, key, overlapMs, request, context }, isStorageLow) {
      const token = ledger.findToken(id);
      if (token === null) {
        return null;
      }
      const refused = refusalOfMaker("rotate", token, context);
      if (refused !== null) {
        return refused;
      }
      if (token.accountState === "closed") {
        return { kind: "account_closed" };
      }
      const nowMs = timeOf(context);
      const earlier = findRemembered(request, token.account, context);
      if (request !== null && earlier !== null) {
        return replay(earlier, request, nowMs);
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
        ledger.putRequest(request, token, change);
      }
      return { kind: "rotated", token: readAgain(token), change };
    },

    endRotation({ id, end, context }) {
      const token = ledger.findToken(id);
      if (token === null) {
        return null;
      }
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
      const token = ledger.findToken(id);
      if (token === null) {
        return null;
      }
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
      return ledger.findMatching(createRevisions, filter, timeOf(context)).map((token) => end(token, reason, context));
    },

    endKeys({ id, ends, context }) {
      const token = ledger.findToken(id);
      if (token === null) {
        return null;
      }
      const moved = ledger.findKeys(token.createRevision).flatMap((key) => {
        const end = ends.find(({ digest }) => Buffer.compare(digest, key.digest) === 0);
        return end === undefined || end.endsAtMs === key.endsAtMs
          ? []
          : [{ issueRevision: key.issueRevision, endsAtMs: end.endsAtMs }];
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
      const closed = ledger.findAccount(account)?.closeRevision ?? null;
      if (closed !== null) {
        return { kind: "set", revision: closed, change: null };
      }
      const change = appendToJournal("close", { account }, reasonFacts(reason), context, { reason });
      ledger.closeAccount(account, change.revision);
      return { kind: "set", revision: change.revision, change };
    },
  };
}

function asCreated(token: NewToken, change: MadeChange, accountState: StoredToken["accountState"]): StoredToken {
  return {
    id: token.id,
    account: token.account,
    name: token.name,
    type: token.type,
    livemode: token.livemode,
    keyHint: token.keyHint,
    permissions: token.permissions,
    createdBy: change.caller,
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
