import type { JournalHead, KeyEnd } from "../../../authority/journal.ts";
import { type AccountState, currentKey, lastUseOf, type StoredToken, type Token } from "../../../authority/token.ts";
import type { NewKey, NewToken } from "../../../authority/token-store.ts";
import { maxCallsTogether } from "../../changes/change-call.ts";
import type { Ledger, LedgerAccount, LedgerChange, LedgerKey } from "../../changes/ledger.ts";

/** A token as it was read for changes: with the digests of its keys. */
export type ReadToken = {
  /** Its account may be held or closed by now: `accountState` is not read from here. */
  readonly token: Token;
  readonly keys: readonly LedgerKey[];
  readonly holdRevision: number | null;
};

export type ReadAccount = LedgerAccount & { readonly account: string };

export type ReadRequest = {
  readonly caller: string;
  readonly account: string;
  readonly requestId: string;
  readonly bodyDigest: Uint8Array;
  readonly tokenRevision: number;
  readonly issueRevision: number;
  readonly sealedKey: Uint8Array | null;
  readonly atMs: number;
};

/** The live tokens of an account, counted for every time that the batch asks about. */
export type ReadCount = {
  readonly account: string;
  /** How many live on after the latest of these times: `countedTo(max)` stands for that many or more. */
  readonly living: number;
  /** When those end that end between these times. At most `countedTo(max)`, the latest ones. */
  readonly ends: readonly number[];
};

/** How far live tokens are counted: the batch itself may revoke some of them. */
export function countedTo(maxLiveTokens: number): number {
  return maxLiveTokens + maxCallsTogether;
}

/** What was read under the lock for the calls of one batch. */
export type ReadRows = {
  /** The database's time, by its own clock. */
  readonly databaseMs: number;
  /** Of the secret that keys are sealed with; null until a node says which one that shall be. */
  readonly sealingFingerprint: Uint8Array | null;
  readonly head: JournalHead;
  readonly tokens: readonly ReadToken[];
  readonly accounts: readonly ReadAccount[];
  readonly requests: readonly ReadRequest[];
  readonly counts: readonly ReadCount[];
  /** The newest change that lifted a hold, of tokens and accounts that are to be released. */
  readonly resumesOfTokens: ReadonlyMap<number, number>;
  readonly resumesOfAccounts: ReadonlyMap<string, number>;
  readonly matching: readonly Pick<StoredToken, "id" | "createRevision">[];
};

/** What a batch has written, in the order in which statements must write it. */
export type Writes = {
  readonly changes: readonly LedgerChange[];
  readonly tokens: readonly (NewToken & {
    readonly revision: number;
    readonly createdBy: string;
    readonly atMs: number;
  })[];
  readonly keys: readonly (NewKey & { readonly tokenRevision: number; readonly issueRevision: number })[];
  readonly keyEnds: readonly (KeyEnd & { readonly endRevision: number | null })[];
  readonly revoked: readonly {
    readonly tokenRevision: number;
    readonly atMs: number;
    readonly reason: string;
    readonly revision: number;
  }[];
  readonly heldTokens: readonly { readonly tokenRevision: number; readonly holdRevision: number | null }[];
  /** Neither held nor closed: then nothing is kept of it. */
  readonly accounts: readonly ReadAccount[];
  /** A null key stands for all keys of the token. */
  readonly erasedKeys: readonly { readonly tokenRevision: number; readonly issueRevision: number | null }[];
  readonly requests: readonly ReadRequest[];
};

/** The ledger of one batch: what was read, and what the calls have written since. */
export type WorkingSet = { readonly ledger: Ledger; writes(): Writes };

type Entry = { token: Token; keys: readonly LedgerKey[]; holdRevision: number | null };
type Ending = { readonly account: string; readonly expiresAtMs: number | null };

export function createWorkingSet(read: ReadRows): WorkingSet {
  let { head } = read;
  const byId = new Map<string, Entry>();
  const byRevision = new Map<number, Entry>();
  const accounts = new Map(read.accounts.map((row) => [row.account, row]));
  const requests = new Map(read.requests.map((row) => [nameOf(row), row]));
  const counts = new Map(read.counts.map((row) => [row.account, row]));
  const resumesOfTokens = new Map(read.resumesOfTokens);
  const resumesOfAccounts = new Map(read.resumesOfAccounts);
  /** Of this batch. */
  const created: Ending[] = [];
  const ended: Ending[] = [];

  const changes: LedgerChange[] = [];
  const newTokens: Writes["tokens"][number][] = [];
  const newKeys: Writes["keys"][number][] = [];
  const keyEnds = new Map<string, Writes["keyEnds"][number]>();
  const revoked: Writes["revoked"][number][] = [];
  const heldTokens = new Map<number, number | null>();
  const changedAccounts = new Set<string>();
  const erasedKeys: Writes["erasedKeys"][number][] = [];
  const newRequests = new Set<string>();

  for (const row of read.tokens) {
    put({ ...row });
  }

  function put(entry: Entry): void {
    byId.set(entry.token.id, entry);
    byRevision.set(entry.token.createRevision, entry);
  }

  function stateOfAccount(account: string): AccountState {
    const row = accounts.get(account);
    if (row === undefined) {
      return "active";
    }
    return row.closeRevision === null ? "held" : "closed";
  }

  function tokenOf(entry: Entry | undefined): Token | null {
    return entry === undefined ? null : { ...entry.token, accountState: stateOfAccount(entry.token.account) };
  }

  function setAccount(account: string, change: Partial<LedgerAccount>): void {
    const { holdRevision, closeRevision } = { ...none, ...accounts.get(account), ...change };
    accounts.set(account, { account, holdRevision, closeRevision });
    changedAccounts.add(account);
  }

  const ledger: Ledger = {
    head: () => head,
    earliestMs: () => head.atMs,
    findToken: (id) => tokenOf(byId.get(id)),
    findTokenByRevision: (createRevision) => tokenOf(byRevision.get(createRevision)),

    findByKey(id, issueRevision) {
      const token = tokenOf(byId.get(id));
      const key = token?.keys.find((one) => one.issueRevision === issueRevision);
      return token === null || key === undefined
        ? null
        : { ...token, keyHint: key.hint, issueRevision, keyEndsAtMs: key.endsAtMs };
    },

    findKeys: (createRevision) => byRevision.get(createRevision)?.keys ?? [],
    findHold: (createRevision) => byRevision.get(createRevision)?.holdRevision ?? null,
    findAccount: (account) => accounts.get(account) ?? null,
    findLastResumeOfToken: (createRevision) => resumesOfTokens.get(createRevision) ?? null,
    findLastResumeOfAccount: (account) => resumesOfAccounts.get(account) ?? null,

    findRequest(caller, account, requestId) {
      const name = nameOf({ caller, account, requestId });
      const row = requests.get(name);
      return row === undefined ? null : { ...row, readSealedKey: () => row.sealedKey };
    },

    isFull(account, maxLiveTokens, nowMs) {
      const row = counts.get(account);
      if (row === undefined) {
        throw new Error("the tokens of an account were not counted");
      }
      const isLive = ({ account: owner, expiresAtMs }: Ending) =>
        owner === account && (expiresAtMs === null || expiresAtMs > nowMs);
      const before = row.living + row.ends.filter((endMs) => endMs > nowMs).length;
      return before + created.filter(isLive).length - ended.filter(isLive).length >= maxLiveTokens;
    },

    findMatching: () => read.matching,

    append(change) {
      changes.push(change);
      head = { revision: change.revision, atMs: change.atMs, hash: change.hash };
      if (change.action === "resume") {
        if (change.tokenRevision !== null) {
          resumesOfTokens.set(change.tokenRevision, change.revision);
        }
        if (change.account !== null) {
          resumesOfAccounts.set(change.account, change.revision);
        }
      }
    },

    insertToken(token, { revision, atMs, caller }) {
      newTokens.push({ ...token, revision, atMs, createdBy: caller });
      created.push(token);
      put({ token: asToken(token, revision, atMs, caller), keys: [], holdRevision: null });
    },

    insertKey({ digest, keyHint }, createRevision, issueRevision) {
      newKeys.push({ digest, keyHint, tokenRevision: createRevision, issueRevision });
      const entry = known(byRevision.get(createRevision));
      entry.keys = [...entry.keys, { digest, issueRevision, endsAtMs: null, endRevision: null }];
      const issued = { hint: keyHint, issueRevision, issuedAtMs: head.atMs, endsAtMs: null, lastUsedAtMs: null };
      entry.token = withKeys(entry.token, [issued, ...entry.token.keys]);
    },

    moveEnd({ digest, issueRevision }, createRevision, endsAtMs, revision) {
      const endRevision = endsAtMs === null ? null : revision;
      keyEnds.set(Buffer.from(digest).toString("hex"), { digest, endsAtMs, endRevision });
      const entry = known(byRevision.get(createRevision));
      entry.keys = entry.keys.map((key) =>
        key.issueRevision === issueRevision ? { ...key, endsAtMs, endRevision } : key,
      );
      entry.token = withKeys(
        entry.token,
        entry.token.keys.map((key) => (key.issueRevision === issueRevision ? { ...key, endsAtMs } : key)),
      );
    },

    markRevoked(createRevision, { atMs, revision }, reason) {
      revoked.push({ tokenRevision: createRevision, atMs, reason, revision });
      const entry = byRevision.get(createRevision);
      // Those that a filter has found were not read.
      if (entry !== undefined) {
        const { account, expiresAtMs } = entry.token;
        ended.push({ account, expiresAtMs });
        entry.token = { ...entry.token, revokedAtMs: atMs, revokeReason: reason, revokeRevision: revision };
      }
    },

    holdToken(createRevision, revision) {
      heldTokens.set(createRevision, revision);
      const entry = known(byRevision.get(createRevision));
      entry.holdRevision = revision;
      entry.token = { ...entry.token, held: revision !== null };
    },

    holdAccount: (account, revision) => setAccount(account, { holdRevision: revision }),
    resumeAccount(account) {
      accounts.delete(account);
      changedAccounts.add(account);
    },
    closeAccount: (account, revision) => setAccount(account, { closeRevision: revision }),

    putRequest({ id, bodyDigest, sealedKey }, { account, createRevision }, { caller, revision, atMs }) {
      const row = {
        ...{ caller, account, requestId: id, bodyDigest, sealedKey, atMs },
        ...{ tokenRevision: createRevision, issueRevision: revision },
      };
      requests.set(nameOf(row), row);
      newRequests.add(nameOf(row));
    },

    eraseSealedKeys(createRevision, issueRevisions) {
      const erased: readonly (number | null)[] = issueRevisions ?? [null];
      for (const issueRevision of erased) {
        erasedKeys.push({ tokenRevision: createRevision, issueRevision });
      }
      for (const [name, row] of requests) {
        const isOf = row.tokenRevision === createRevision;
        if (isOf && (issueRevisions === null || issueRevisions.includes(row.issueRevision))) {
          requests.set(name, { ...row, sealedKey: null });
        }
      }
    },
  };

  return {
    ledger,
    writes: () => ({
      changes,
      tokens: newTokens,
      keys: newKeys,
      keyEnds: [...keyEnds.values()],
      revoked,
      heldTokens: [...heldTokens].map(([tokenRevision, holdRevision]) => ({ tokenRevision, holdRevision })),
      accounts: [...changedAccounts].map((account) => accounts.get(account) ?? { account, ...none }),
      erasedKeys,
      requests: [...newRequests].map((name) => known(requests.get(name))),
    }),
  };
}

const none: LedgerAccount = { holdRevision: null, closeRevision: null };

function nameOf({ caller, account, requestId }: Pick<ReadRequest, "caller" | "account" | "requestId">): string {
  return JSON.stringify([caller, account, requestId]);
}

function known<Row>(row: Row | undefined): Row {
  if (row === undefined) {
    throw new Error("a change is made to what was not read for it");
  }
  return row;
}

/** Keys newest first. What is told of the current key follows them. */
function withKeys(token: Token, keys: Token["keys"]): Token {
  const current = currentKey(keys);
  return {
    ...token,
    keys,
    lastUsedAtMs: lastUseOf(keys),
    keyHint: current.hint,
    issueRevision: current.issueRevision,
    keyEndsAtMs: current.endsAtMs,
  };
}

function asToken(token: NewToken, revision: number, atMs: number, createdBy: string): Token {
  const { id, account, name, type, livemode, keyHint, permissions, expiresAtMs } = token;
  return {
    ...{ id, account, name, type, livemode, keyHint, permissions, expiresAtMs, createdBy },
    createdAtMs: atMs,
    revokedAtMs: null,
    revokeReason: "",
    createRevision: revision,
    issueRevision: revision,
    keyEndsAtMs: null,
    revokeRevision: null,
    held: false,
    accountState: "active",
    lastUsedAtMs: null,
    keys: [],
  };
}
