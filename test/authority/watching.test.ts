import { describe, expect, it } from "vitest";
import type { Freshness, HoldersReport, TokenChange } from "../../src/authority/freshness.ts";
import { digestKey, mintKey } from "../../src/authority/key.ts";
import { createLastUseRecorder } from "../../src/authority/last-use-recorder.ts";
import { leaseMs } from "../../src/authority/lease.ts";
import type { Settled } from "../../src/authority/settling.ts";
import type { TokenAuthority } from "../../src/authority/token-authority.ts";
import { createWatching, type WatchRequest } from "../../src/authority/watching.ts";
import { openServingStore } from "../../src/stores/sqlite/serving/serving-store.ts";
import { openStore, temporaryDataDirectory } from "../sqlite/store-rig.ts";
import { authorityOver } from "../support/authority-over.ts";
import { aListRequest, aSecretKey, openAuthority, operator } from "../support/authority-rig.ts";
import { aNewToken, anyLimit, at } from "../support/token-store/builders.ts";

const first: WatchRequest = {
  sequence: 1,
  appliedRevision: 0,
  appliedHash: new Uint8Array(),
  uses: [],
  release: false,
};
const widest = {
  requiredPermissions: [],
  livemode: null,
  allowedTypes: ["secret", "publishable", "restricted"],
  cacheRules: 1,
  minRevision: 0,
} as const;

it("as many as 1000 watch a thread, and another one once one of them has left", async () => {
  const authority = authorityOver(await openStore(temporaryDataDirectory()));
  const watches = Array.from({ length: 1000 }, () => authority.watch(operator, () => {}));
  expect([watches.includes(null), authority.watch(operator, () => {})]).toEqual([false, null]);
  watches[0]?.leave();
  expect(authority.watch(operator, () => {})).not.toBeNull();
  expect(authority.holders()).toMatchObject({ open: 1000, holders: 0 });
});

it("a store that fails ends every watch, and grants no lease", async () => {
  const store = await openStore(temporaryDataDirectory());
  await using view = openServingStore(store.seed());
  const authority = authorityOver(view);
  let wake = () => {};
  const watch = authority.watch(operator, () => wake());
  watch?.hear(first);
  expect(watch?.next()).toMatchObject({ kind: "lease" });
  view.fail(new Error("the writer is gone"));
  watch?.hear({ ...first, sequence: 2 });
  expect([watch?.next(), view.freshness.leaseMs()]).toEqual([null, 0]);
  const isWoken = new Promise<void>((resolve) => {
    wake = resolve;
  });
  // Whatever comes to pass, the view cannot tell.
  await store.create(aNewToken(), null, anyLimit, at(1));
  await isWoken;
  expect(() => watch?.next()).toThrow(expect.objectContaining({ reason: "UNDECIDED" }));
  watch?.leave();
});

it("an answer for a cache says for how long it may be kept, by what it depends on", async () => {
  const authority = await openAuthority();
  const { clock } = authority;
  const hourMs = 60 * 60 * 1000;
  const cacheForMs = async (key: string, asked: object = {}) => {
    const decision = await authority.authenticateForCache({ key, ...widest, ...asked });
    const { outcome } = decision;
    return [outcome.kind === "refusal" ? outcome.reason : outcome.kind, decision.cacheForMs, decision.revision];
  };
  const lasting = await authority.issue();
  const short = await authority.issue({ expiresAtMs: clock.nowMs + 60_000 });
  const long = await authority.issue({ expiresAtMs: clock.nowMs + 2 * hourMs });
  expect(await cacheForMs(lasting.key)).toEqual(["principal", hourMs, 3]);
  expect(await cacheForMs(short.key)).toEqual(["principal", 60_000, 3]);
  expect(await cacheForMs(long.key)).toEqual(["principal", hourMs, 3]);
  expect(await cacheForMs(mintKey("secret", true))).toEqual(["KEY_UNKNOWN", 5000, 3]);
  expect(await cacheForMs("sk_live_none")).toEqual(["KEY_MALFORMED", null, 3]);
  expect(await cacheForMs(lasting.key, { livemode: true })).toEqual(["LIVEMODE_MISMATCH", null, 3]);
  expect(await cacheForMs(lasting.key, { allowedTypes: ["restricted"] })).toEqual(["TYPE_NOT_ALLOWED", null, 3]);
  await authority.revoke(lasting.id);
  expect(await cacheForMs(lasting.key)).toEqual(["TOKEN_REVOKED", hourMs, 4]);
  clock.nowMs += 60_000;
  expect(await cacheForMs(short.key)).toEqual(["TOKEN_EXPIRED", hourMs, 4]);
});

it("an answer for a cache notes no use, and one that knows of a revision does", async () => {
  const authority = await openAuthority();
  const { key, id } = await authority.issue();
  await authority.authenticateForCache({ key, ...widest });
  await authority.flush();
  expect((await authority.get(id)).lastUsedAtMs).toBeNull();
  await authority.authenticateForCache({ key, ...widest, cacheRules: 0, minRevision: 1 });
  await authority.flush();
  expect((await authority.get(id)).lastUsedAtMs).toBe(authority.clock.nowMs);
});

it("a revision that there never was is waited for a while, and then says that the journal went back", async () => {
  const authority = await openAuthority();
  const { key, revision } = await authority.issue();
  const ask = (minRevision: number) => authority.authenticateForCache({ key, ...widest, minRevision });
  const waiting = ask(revision + 1);
  await authority.issue();
  expect(await waiting).toMatchObject({ revision: revision + 1 });
  await expect(ask(revision + 2)).rejects.toMatchObject({ reason: "JOURNAL_WENT_BACK", field: "minRevision" });
});

it("a revision that a store without a lease does not know is undecided: the store may be behind", async () => {
  const store = await openStore(temporaryDataDirectory());
  const authority = authorityOver({ ...store, freshness: { ...store.freshness, leaseMs: () => 0 } });
  const asked = authority.authenticateForCache({ key: mintKey("secret", true), ...widest, minRevision: 1 });
  await expect(asked).rejects.toMatchObject({ reason: "UNDECIDED" });
});

it("reported uses of a key are looked up behind, and those of unknown digests go nowhere", async () => {
  const store = await openStore(temporaryDataDirectory());
  const lastUse = createLastUseRecorder(store, (error) => {
    throw error;
  });
  const authority = authorityOver(store, { lastUse });
  const { key, token } = await authority.create(operator, aSecretKey);
  const watch = authority.watch(operator, () => {});
  const use = (digest: Uint8Array) => ({ digest, ageMs: 1000, acceptedCount: 2 });
  watch?.hear({ ...first, uses: [...Array.from({ length: 998 }, () => use(new Uint8Array(32))), use(digestKey(key))] });
  await expect
    .poll(async () => {
      await lastUse.flush();
      return (await authority.get(token.id)).lastUsedAtMs;
    })
    .not.toBeNull();
  expect(authority.holders().reportedUses).toBe(2 * 999);
  watch?.leave();
});

/** A freshness whose changes come when the test says so, and whose holders' reports are told to the test. */
function handMade(onReport: (report: HoldersReport | null) => void = () => {}) {
  let changes: readonly TokenChange[] = [];
  const clock = { monotonicMs: 0, leftMs: leaseMs };
  const revision = () => changes.at(-1)?.revision ?? 0;
  const freshness: Freshness = {
    mark: () => ({ revision: revision(), signal: revision() }),
    isFresh: ({ signal }) => signal === revision(),
    changesSince: (mark) => ({
      changes: changes.filter((change) => change.revision > mark.revision),
      mark: freshness.mark(),
    }),
    isPastLease: () => false,
    untilFresh: async () => {},
    // Nobody is woken: what is told must have been read.
    untilChanged: () => new Promise(() => {}),
    hashOf: (of) => Buffer.alloc(32, of),
    leaseMs: () => clock.leftMs,
    report: onReport,
    settle: async () => ({ acknowledged: 0, silent: [], unconfirmed: [] }),
  };
  const watching = createWatching({
    freshness,
    uses: { note() {} },
    onSilent() {},
    monotonicMs: () => clock.monotonicMs,
    wallMs: () => 0,
  });
  return {
    watching,
    clock,
    revoke(at: number) {
      const digests = [Buffer.alloc(32, at)];
      changes = [...changes, { revision: at, action: "revoke", digests, tokenId: "tok_1", account: null }];
    },
  };
}

it("W3: a lease is granted by what there is when it is granted: what came since the last look is told before it", () => {
  const { watching, revoke } = handMade();
  const watch = watching.watch("a", () => {});
  watch?.hear(first);
  expect(watch?.next()).toMatchObject({ kind: "lease", revision: 0 });
  revoke(1);
  watch?.hear({ ...first, sequence: 2 });
  expect([watch?.next(), watch?.next()]).toEqual([expect.objectContaining({ kind: "forget", revision: 1 }), null]);
  watch?.hear({ ...first, sequence: 3, appliedRevision: 1 });
  expect(watch?.next()).toMatchObject({ kind: "lease", sequence: 3, revision: 1 });
});

describe("who comes back from another node, and knows of more than this one", () => {
  const returning = { ...first, appliedRevision: 2, appliedHash: Buffer.alloc(32, 2) };

  it("is let in once this one knows as much, and forgets nothing", async () => {
    const { watching, revoke, clock } = handMade();
    clock.leftMs = leaseMs - 400;
    revoke(1);
    const { promise: isWoken, resolve: wake } = Promise.withResolvers<void>();
    const watch = watching.watch("a", wake);
    watch?.hear(returning);
    watch?.hear({ ...returning, sequence: 2 });
    expect(watch?.next()).toBeNull();
    revoke(2);
    await isWoken;
    expect(watch?.next()).toMatchObject({ kind: "lease", sequence: 2, revision: 2 });
    watch?.leave();
  });

  it("must forget everything where a lease that was asked for since tells that there is no such change", async () => {
    const { watching, revoke, clock } = handMade();
    clock.leftMs = leaseMs - 400;
    revoke(1);
    const { promise: isWoken, resolve: wake } = Promise.withResolvers<void>();
    const watch = watching.watch("a", wake);
    watch?.hear(returning);
    expect(watch?.next()).toBeNull();
    clock.monotonicMs = 401;
    await isWoken;
    expect(watch?.next()).toMatchObject({ kind: "reset", reason: "HISTORY_DIFFERS" });
    watch?.leave();
  });

  it("is turned away where this one cannot tell soon", async () => {
    const { watching, clock } = handMade();
    clock.leftMs = 0;
    const { promise: isWoken, resolve: wake } = Promise.withResolvers<void>();
    const watch = watching.watch("a", wake);
    watch?.hear(returning);
    clock.monotonicMs = 1001;
    await isWoken;
    expect(() => watch?.next()).toThrow(expect.objectContaining({ reason: "UNDECIDED" }));
    watch?.leave();
  });
});

it("a thread says that it has holders before it looks for what has changed and grants the first lease", () => {
  const { watching, revoke } = handMade((report) => {
    // A change that sees that there are none, and does not wait for them.
    if (report?.holders === 0 && !isRevoked) {
      isRevoked = true;
      revoke(1);
    }
  });
  let isRevoked = false;
  const watch = watching.watch("a", () => {});
  watch?.hear(first);
  expect(isRevoked).toBe(true);
  expect([watch?.next(), watch?.next()]).toEqual([expect.objectContaining({ kind: "forget", revision: 1 }), null]);
});

it("a renewal is reported where it changes something, and only there: a thousand gateways renew all the time", async () => {
  const reports: (HoldersReport | null)[] = [];
  const { watching, revoke, clock } = handMade((report) => reports.push(report));
  const turn = () => new Promise((resolve) => setImmediate(resolve));
  const [watch, other] = [watching.watch("a", () => {}), watching.watch("b", () => {})];
  watch?.hear(first);
  other?.hear(first);
  await turn();
  expect(reports.splice(0).at(-1)).toMatchObject({ settledRevision: 0, holders: 2 });
  clock.monotonicMs = 500;
  watch?.hear({ ...first, sequence: 2 });
  other?.hear({ ...first, sequence: 2 });
  await turn();
  expect(reports).toEqual([]);

  revoke(1);
  watch?.hear({ ...first, sequence: 3 });
  await turn();
  expect(reports.splice(0)).toMatchObject([{ settledRevision: 0, holders: 2 }]);
  for (const one of [watch, other]) {
    while (one?.next() !== null) {}
  }
  watch?.hear({ ...first, sequence: 4, appliedRevision: 1 });
  await turn();
  other?.hear({ ...first, sequence: 3, appliedRevision: 1 });
  await turn();
  expect(reports.splice(0).map((report) => report?.settledRevision)).toEqual([0, 1]);

  // Its lease was over, and so it holds one again.
  clock.monotonicMs = 10_000;
  watch?.hear({ ...first, sequence: 5, appliedRevision: 1 });
  await turn();
  expect(reports.splice(0).at(-1)).toMatchObject({ settledRevision: 1, holders: 1 });
  watch?.leave();
  other?.leave();
});

it("a revocation is answered when who holds a lease has acknowledged it, also one that is asked for again", async () => {
  const authority = authorityOver(await openStore(temporaryDataDirectory()));
  let wake = () => {};
  const watch = authority.watch(operator, () => wake());
  watch?.hear(first);
  expect(watch?.next()).toMatchObject({ kind: "lease" });
  const isWoken = new Promise<void>((resolve) => {
    wake = resolve;
  });
  const { token } = await authority.create(operator, aSecretKey);
  const answered: string[] = [];
  const revoke = async (name: string) => {
    const { settlement } = await authority.revoke(operator, token.id, "");
    answered.push(name);
    return settlement;
  };
  const revoking = revoke("first");
  await isWoken;
  // A creation that is asked for after the other revocation is answered before both.
  const again = revoke("again");
  await authority.create(operator, aSecretKey);
  await authority.create(operator, aSecretKey);
  expect(answered).toEqual([]);
  const forget = watch?.next();
  expect(forget).toMatchObject({ kind: "forget", revision: 2, hasMore: false });
  watch?.hear({ ...first, sequence: 2, appliedRevision: 2 });
  expect(await Promise.all([revoking, again])).toEqual([
    { acknowledged: 1, silent: [], unconfirmed: [] },
    { acknowledged: 1, silent: [], unconfirmed: [] },
  ]);
  watch?.hear({ ...first, sequence: 3, release: true });
  watch?.leave();
});

const takeaways: readonly (readonly [string, (authority: TokenAuthority, id: string) => Promise<Settled<object>>])[] = [
  ["a revocation", (authority, id) => authority.revoke(operator, id, "")],
  ["a rotation", (authority, id) => authority.rotateKey(operator, { id, overlapMs: 1000, requestId: "" })],
  ["the end of a rotation", (authority, id) => authority.endRotation(operator, id, { kind: "cut" })],
  ["a hold of a token", (authority, tokenId) => authority.setHold(operator, { tokenId }, true, "")],
  ["a hold of an account", (authority) => authority.setHold(operator, { account: "acct_1" }, true, "")],
  [
    "a revocation by filter",
    (authority) => {
      const request = { filter: { ...aListRequest, account: "acct_1" }, force: true, upToRevision: 1, reason: "" };
      return authority.revokeTokens(operator, request, new AbortController().signal);
    },
  ],
  ["the end of an account", (authority) => authority.closeAccount(operator, "acct_1", "")],
];

it.each(takeaways)("%s is answered when who holds a lease has acknowledged it", async (name, take) => {
  const authority = authorityOver(await openStore(temporaryDataDirectory()));
  const { token } = await authority.create(operator, aSecretKey);
  if (name === "the end of a rotation") {
    await authority.rotateKey(operator, { id: token.id, overlapMs: 60_000, requestId: "" });
  }
  const bell = { ring: () => {} };
  const watch = authority.watch(operator, () => bell.ring());
  watch?.hear(first);
  expect(watch?.next()).toMatchObject({ kind: "lease" });
  const { promise: isTold, resolve } = Promise.withResolvers<void>();
  bell.ring = resolve;
  let isAnswered = false;
  const taking = take(authority, token.id).then(({ settlement }) => {
    isAnswered = true;
    return settlement;
  });
  await isTold;
  const told = [watch?.next(), watch?.next()].filter((event) => event !== null);
  const appliedRevision = told.at(-1)?.revision ?? 0;
  expect(told.map((event) => event?.kind)).toEqual(told.length === 2 ? ["forget", "forget"] : ["forget"]);
  // Changes that are asked for later are answered meanwhile.
  await authority.create(operator, { ...aSecretKey, account: "acct_2" });
  expect(isAnswered).toBe(false);
  watch?.hear({ ...first, sequence: 2, appliedRevision });
  expect(await taking).toEqual({ acknowledged: 1, silent: [], unconfirmed: [] });
  watch?.hear({ ...first, sequence: 3, release: true });
  watch?.leave();
});
