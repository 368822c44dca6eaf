import { createHash, randomBytes } from "node:crypto";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import {
  type Change,
  type ChangeContext,
  changeBytes,
  emptyHead,
  hashJournalRow,
} from "../../src/authority/journal.ts";
import { mintTokenId } from "../../src/authority/key.ts";
import { missingPermissions } from "../../src/authority/permission.ts";
import { answerBytes, stateOf, type Token, tokenStates, tokenTypes } from "../../src/authority/token.ts";
import {
  type AccountQuery,
  type ChangeFilter,
  type ChangePage,
  type ChangeQuery,
  type CreateOutcome,
  type CreateRequestRecord,
  lastUsePrecisionMs,
  type NewToken,
  type RevokeOutcome,
  requestMemoryMs,
  type TokenFilter,
  type TokenQuery,
  type TokenStore,
} from "../../src/authority/token-store.ts";

type Store = TokenStore & AsyncDisposable;

const nowMs = Date.UTC(2026, 10, 24);
const anyLimit = 10_000;

/** A token that nobody has created yet. */
export function aNewToken(facts: Partial<NewToken> = {}): NewToken {
  return {
    id: mintTokenId(),
    digest: randomBytes(32),
    account: "acct_1",
    name: "Till 7",
    type: "restricted",
    livemode: true,
    keyHint: "Zz09",
    permissions: ["charges:read", "refunds:write"],
    expiresAtMs: null,
    ...facts,
  };
}

export function aRequest(id: string, body = "body", sealedKey = `sealed ${id}`): CreateRequestRecord {
  return { id, bodyDigest: createHash("sha256").update(body).digest(), sealedKey: Buffer.from(sealedKey) };
}

export function at(atMs: number, caller = "spiffe://casapay/till"): ChangeContext {
  return { caller, atMs, isBearer: false };
}

/** A change that the bearer of this token's key makes. */
function byBearer(maker: Pick<Token, "id">, atMs: number): ChangeContext {
  return { caller: maker.id, atMs, isBearer: true };
}

const everything: TokenFilter = {
  account: null,
  types: [],
  livemode: null,
  states: [],
  permission: null,
  createdFromMs: null,
  createdBeforeMs: null,
  expiresBeforeMs: null,
  unusedSinceMs: null,
  nameContains: null,
  keyHint: null,
  createdBy: null,
};

const allChanges: ChangeFilter = {
  tokenId: null,
  caller: null,
  action: null,
  account: null,
  changedFromMs: null,
  changedBeforeMs: null,
};

/** Asks for every change, newest first. */
function aChangeQuery(filter: Partial<ChangeFilter> = {}, facts: Partial<ChangeQuery> = {}): ChangeQuery {
  return { filter: { ...allChanges, ...filter }, after: null, limit: 1000, scanLimit: 10_000, maxBytes: 1e6, ...facts };
}

/** Asks for everything, newest first. */
export function aQuery(facts: Partial<TokenQuery> = {}): TokenQuery {
  return {
    filter: everything,
    direction: "older",
    after: null,
    limit: 50,
    scanLimit: 10_000,
    maxBytes: 1_000_000,
    nowMs,
    ...facts,
  };
}

/** The promises of TokenStore, which any store keeps. `open` opens the store in this directory, which is there and empty at first. */
export function describeTokenStore(name: string, open: (directory: string) => Promise<Store>): void {
  describe(`${name} as a token store`, () => {
    let directory: string;
    let store: Store;

    beforeEach(async () => {
      directory = await mkdtemp(join(tmpdir(), "token-store-"));
      store = await open(directory);
    });

    afterEach(async () => {
      await store[Symbol.asyncDispose]();
      await rm(directory, { recursive: true });
    });

    async function create(facts: Partial<NewToken> = {}, context = at(nowMs)): Promise<Token> {
      const outcome = await store.create(aNewToken(facts), null, anyLimit, context);
      return { ...createdIn(outcome).token, lastUsedAtMs: null };
    }

    async function revoke(token: Pick<Token, "id">, atMs = nowMs): Promise<Token> {
      return revokedIn(await store.revoke(token.id, "leaked", at(atMs))).token;
    }

    async function allInPages(query: TokenQuery): Promise<readonly Token[]> {
      const tokens: Token[] = [];
      for (let after = query.after; ; ) {
        const page = await store.list({ ...query, after });
        tokens.push(...page.tokens);
        if (page.next === null) {
          return tokens;
        }
        after = page.next;
      }
    }

    describe("create", () => {
      it("keeps every fact of the token, and adds its creator, time and revision", async () => {
        const facts = aNewToken({ expiresAtMs: nowMs + 1, name: "ünï 💶 'quoted\"" });
        const { token } = createdIn(await store.create(facts, null, anyLimit, at(nowMs, "the caller")));
        const { digest, ...kept } = facts;
        expect(token).toEqual({
          ...kept,
          createdBy: "the caller",
          createdAtMs: nowMs,
          revokedAtMs: null,
          revokeReason: "",
          createRevision: 1,
          revokeRevision: null,
        });
        expect(await store.findByDigest(digest)).toEqual(token);
        expect(await store.get(token.id)).toEqual({ ...token, lastUsedAtMs: null });
      });

      it("is seen by any read that starts after its answer", async () => {
        for (let round = 0; round < 50; round += 1) {
          const facts = aNewToken();
          await store.create(facts, null, anyLimit, at(nowMs));
          expect(await store.findByDigest(facts.digest)).toMatchObject({ id: facts.id });
        }
      });

      it("appends one row to the journal, whose hash continues the chain", async () => {
        const facts = aNewToken();
        const { head } = createdIn(await store.create(facts, null, anyLimit, at(nowMs, "me")));
        const row = { revision: 1, atMs: nowMs, caller: "me", action: "create" as const, tokenId: facts.id };
        expect(head.revision).toBe(1);
        expect(head.atMs).toBe(nowMs);
        expect(hex(head.hash)).toBe(hex(hashJournalRow(emptyHead.hash, row, facts, facts.digest)));
      });

      it("refuses a token from the millisecond it expires, and stores nothing", async () => {
        const facts = aNewToken({ expiresAtMs: nowMs });
        expect(await store.create(facts, null, anyLimit, at(nowMs))).toEqual({ kind: "already_expired" });
        expect(await store.findByDigest(facts.digest)).toBeNull();
        expect(store.head().revision).toBe(0);
        expect(await store.create(facts, null, anyLimit, at(nowMs - 1))).toMatchObject({ kind: "created" });
      });

      it("refuses an account that has as many live tokens as it may have, and stores nothing", async () => {
        await create();
        await create({ expiresAtMs: nowMs + 1000 });
        const facts = aNewToken();
        expect(await store.create(facts, null, 2, at(nowMs))).toEqual({ kind: "limit_reached" });
        expect(await store.findByDigest(facts.digest)).toBeNull();
        expect(store.head().revision).toBe(2);
        expect(await store.create(facts, null, 3, at(nowMs))).toMatchObject({ kind: "created" });
      });

      it("counts neither revoked nor expired tokens nor those of other accounts against the limit", async () => {
        await revoke(await create());
        await create({ expiresAtMs: nowMs + 1000 });
        await create({ account: "acct_2" });
        expect(await store.create(aNewToken(), null, 1, at(nowMs + 999))).toEqual({ kind: "limit_reached" });
        expect(await store.create(aNewToken(), null, 1, at(nowMs + 1000))).toMatchObject({ kind: "created" });
      });

      it("does not pass the limit when many ask at once", async () => {
        const outcomes = await Promise.all(
          Array.from({ length: 50 }, () => store.create(aNewToken(), null, 7, at(nowMs))),
        );
        expect(outcomes.filter(({ kind }) => kind === "created")).toHaveLength(7);
        expect(outcomes.filter(({ kind }) => kind === "limit_reached")).toHaveLength(43);
      });

      it("gives every change its own revision, without gaps, when many come at once", async () => {
        const earlier = await Promise.all(Array.from({ length: 20 }, () => create()));
        const heads = await Promise.all([
          ...Array.from({ length: 100 }, async () =>
            createdIn(await store.create(aNewToken(), null, anyLimit, at(nowMs))),
          ),
          ...earlier.map(async (token) => revokedIn(await store.revoke(token.id, "", at(nowMs)))),
        ]);
        const revisions = heads.map(({ head }) => head?.revision).toSorted((a = 0, b = 0) => a - b);
        expect(revisions).toEqual(Array.from({ length: 120 }, (_, index) => index + 21));
        expect(store.head().revision).toBe(140);
      });

      it("leaves the calls beside it alone when its checks fail", async () => {
        const [first, expired, second, unknown, third] = await Promise.all([
          store.create(aNewToken({ account: "a" }), null, anyLimit, at(nowMs)),
          store.create(aNewToken({ expiresAtMs: nowMs - 1 }), null, anyLimit, at(nowMs)),
          store.create(aNewToken({ account: "b" }), null, anyLimit, at(nowMs)),
          store.revoke(mintTokenId(), "", at(nowMs)),
          store.create(aNewToken({ account: "c" }), null, anyLimit, at(nowMs)),
        ]);
        expect([first.kind, expired.kind, second.kind, unknown, third.kind]).toEqual([
          "created",
          "already_expired",
          "created",
          null,
          "created",
        ]);
        expect(store.head().revision).toBe(3);
      });

      it("leaves the calls beside it alone when it breaks, and leaves no trace itself", async () => {
        const old = aNewToken();
        await store.create(old, null, anyLimit, at(nowMs));
        const twin = aNewToken({ digest: old.digest });
        const results = await Promise.allSettled([
          store.create(aNewToken(), null, anyLimit, at(nowMs)),
          store.create(twin, aRequest("1"), anyLimit, at(nowMs)),
          store.create(aNewToken(), null, anyLimit, at(nowMs)),
        ]);
        expect(results.map(({ status }) => status)).toEqual(["fulfilled", "rejected", "fulfilled"]);
        expect(results[1]).toMatchObject({ reason: { reason: "UNDECIDED" } });
        expect(await store.get(twin.id)).toBeNull();
        expect(store.head().revision).toBe(3);
        expect(store.isServing()).toBe(true);
      });
    });

    describe("create with a request id", () => {
      it("answers the same token and sealed key again, and creates nothing", async () => {
        const first = createdIn(await store.create(aNewToken(), aRequest("1", "b", "sealed"), anyLimit, at(nowMs)));
        const again = await store.create(aNewToken(), aRequest("1", "b", "other"), anyLimit, at(nowMs + 1));
        expect(again).toEqual({
          kind: "replayed",
          token: { ...first.token, lastUsedAtMs: null },
          sealedKey: expect.anything(),
        });
        expect(sealedKeyIn(again)).toBe("sealed");
        expect(store.head().revision).toBe(1);
      });

      it("creates one token when the same request comes many times at once", async () => {
        const outcomes = await Promise.all(
          Array.from({ length: 20 }, () => store.create(aNewToken(), aRequest("1"), anyLimit, at(nowMs))),
        );
        expect(outcomes.map(({ kind }) => kind).toSorted()).toEqual(["created", ...Array(19).fill("replayed")]);
        expect(store.head().revision).toBe(1);
      });

      it("refuses another body", async () => {
        await store.create(aNewToken(), aRequest("1", "a"), anyLimit, at(nowMs));
        expect(await store.create(aNewToken(), aRequest("1", "b"), anyLimit, at(nowMs))).toEqual({
          kind: "request_id_reused",
        });
        expect(store.head().revision).toBe(1);
      });

      it("remembers it for this caller and this account only", async () => {
        await store.create(aNewToken(), aRequest("1"), anyLimit, at(nowMs, "a"));
        const other = [
          await store.create(aNewToken(), aRequest("1"), anyLimit, at(nowMs, "b")),
          await store.create(aNewToken({ account: "acct_2" }), aRequest("1"), anyLimit, at(nowMs, "a")),
          await store.create(aNewToken(), aRequest("2"), anyLimit, at(nowMs, "a")),
        ];
        expect(other.map(({ kind }) => kind)).toEqual(["created", "created", "created"]);
      });

      it("remembers it for less than 24 hours, also when it is not forgotten yet", async () => {
        await store.create(aNewToken(), aRequest("1", "a"), anyLimit, at(nowMs));
        const last = at(nowMs + requestMemoryMs - 1);
        expect(await store.create(aNewToken(), aRequest("1", "a"), anyLimit, last)).toMatchObject({ kind: "replayed" });
        expect(await store.create(aNewToken(), aRequest("1", "b"), anyLimit, last)).toMatchObject({
          kind: "request_id_reused",
        });
        const later = at(nowMs + requestMemoryMs);
        const second = createdIn(await store.create(aNewToken(), aRequest("1", "b"), anyLimit, later));
        const replay = await store.create(aNewToken(), aRequest("1", "b"), anyLimit, later);
        expect(replay).toMatchObject({ kind: "replayed", token: { id: second.token.id } });
      });

      it("answers a replay before it looks at expiry and limit", async () => {
        const request = aRequest("1");
        await store.create(aNewToken({ expiresAtMs: nowMs + 10 }), request, 1, at(nowMs));
        const again = await store.create(aNewToken({ expiresAtMs: nowMs + 10 }), request, 0, at(nowMs + 10));
        expect(again).toMatchObject({ kind: "replayed" });
      });

      it("looks at expiry before it looks at the limit", async () => {
        expect(await store.create(aNewToken({ expiresAtMs: nowMs }), null, 0, at(nowMs))).toEqual({
          kind: "already_expired",
        });
      });

      it("answers the token as it is now, and no sealed key once it is revoked", async () => {
        const request = aRequest("1");
        const { token } = createdIn(await store.create(aNewToken(), request, anyLimit, at(nowMs)));
        await store.recordUses([{ createRevision: token.createRevision, usedAtMs: nowMs + 5 }]);
        await revoke(token, nowMs + 7);
        expect(await store.create(aNewToken(), request, anyLimit, at(nowMs + 9))).toEqual({
          kind: "replayed",
          token: {
            ...token,
            lastUsedAtMs: nowMs + 5,
            revokedAtMs: nowMs + 7,
            revokeReason: "leaked",
            revokeRevision: 2,
          },
          sealedKey: null,
        });
      });

      it("remembers nothing of a request that was refused", async () => {
        expect(await store.create(aNewToken(), aRequest("1", "a"), 0, at(nowMs))).toMatchObject({
          kind: "limit_reached",
        });
        expect(await store.create(aNewToken(), aRequest("1", "b"), 1, at(nowMs))).toMatchObject({ kind: "created" });
      });
    });

    describe("forgetRequests", () => {
      it("forgets those of 24 hours before or earlier, and no others", async () => {
        await store.create(aNewToken(), aRequest("1"), anyLimit, at(nowMs));
        await store.create(aNewToken(), aRequest("2"), anyLimit, at(nowMs + 1));
        await store.forgetRequests(nowMs + requestMemoryMs);
        // Asked as of before: only what is forgotten is not answered.
        expect(await store.create(aNewToken(), aRequest("1"), anyLimit, at(nowMs + 2))).toMatchObject({
          kind: "created",
        });
        expect(await store.create(aNewToken(), aRequest("2"), anyLimit, at(nowMs + 2))).toMatchObject({
          kind: "replayed",
        });
      });

      it("forgets however many there are", async () => {
        const ids = Array.from({ length: 1234 }, (_, index) => String(index));
        await Promise.all(ids.map((id) => store.create(aNewToken(), aRequest(id), anyLimit, at(nowMs))));
        await store.forgetRequests(nowMs + requestMemoryMs);
        const again = await Promise.all(
          ids.map((id) => store.create(aNewToken(), aRequest(id, "other"), anyLimit, at(nowMs))),
        );
        expect(new Set(again.map(({ kind }) => kind))).toEqual(new Set(["created"]));
      });
    });

    describe("revoke", () => {
      it("answers null, and changes nothing, when no token has this id", async () => {
        expect(await store.revoke(mintTokenId(), "", at(nowMs))).toBeNull();
        expect(store.head()).toEqual(emptyHead);
      });

      it("keeps time, reason and revision, and appends one row to the journal", async () => {
        const facts = aNewToken();
        const before = createdIn(await store.create(facts, null, anyLimit, at(nowMs)));
        const outcome = revokedIn(await store.revoke(facts.id, "leaked", at(nowMs + 5, "me")));
        const revoked = { ...before.token, revokedAtMs: nowMs + 5, revokeReason: "leaked", revokeRevision: 2 };
        const row = { revision: 2, atMs: nowMs + 5, caller: "me", action: "revoke" as const, tokenId: facts.id };
        expect(outcome.token).toEqual({ ...revoked, lastUsedAtMs: null });
        expect(outcome.head).toMatchObject({ revision: 2, atMs: nowMs + 5 });
        expect(hex(outcome.head?.hash)).toBe(hex(hashJournalRow(before.head.hash, row, facts, facts.digest)));
        expect(await store.findByDigest(facts.digest)).toEqual(revoked);
        expect(await store.get(facts.id)).toEqual({ ...revoked, lastUsedAtMs: null });
      });

      it("again changes nothing, appends nothing, and answers the first time, reason and revision", async () => {
        const token = await create();
        const first = revokedIn(await store.revoke(token.id, "first", at(nowMs + 1)));
        const again = await store.revoke(token.id, "second", at(nowMs + 2));
        expect(again).toEqual({ ...first, head: null });
        expect(await store.get(token.id)).toEqual(first.token);
        expect(store.head().revision).toBe(2);
      });

      it("happens once when many ask at once", async () => {
        const token = await create();
        const outcomes = await Promise.all(
          Array.from({ length: 20 }, async (_, index) =>
            revokedIn(await store.revoke(token.id, `reason ${index}`, at(nowMs + index))),
          ),
        );
        expect(outcomes.filter(({ head }) => head !== null)).toHaveLength(1);
        expect(new Set(outcomes.map((outcome) => outcome.token.revokeReason)).size).toBe(1);
        expect(store.head().revision).toBe(2);
      });

      it("is seen by any read that starts after its answer", async () => {
        for (let round = 0; round < 50; round += 1) {
          const facts = aNewToken();
          await store.create(facts, null, anyLimit, at(nowMs));
          await store.revoke(facts.id, "", at(nowMs));
          expect(await store.findByDigest(facts.digest)).toMatchObject({ revokedAtMs: nowMs });
        }
      });

      it("also revokes an expired token", async () => {
        const token = await create({ expiresAtMs: nowMs + 1 });
        expect(await revoke(token, nowMs + 2)).toMatchObject({ revokedAtMs: nowMs + 2 });
      });
    });

    describe("what a bearer changes", () => {
      const mayWrite = { permissions: ["tokens:write", "charges:write"] };
      const given = { permissions: ["charges:read"] };
      const refused = (reason: string) => ({ kind: "maker_refused", reason });

      it("is judged in the same step: nothing is made or revoked once the maker is revoked", async () => {
        const [maker, other] = [await create(mayWrite), await create(given)];
        await revoke(maker);
        const child = aNewToken(given);
        const context = byBearer(maker, nowMs + 1);
        expect(await store.create(child, null, anyLimit, context)).toEqual(refused("TOKEN_REVOKED"));
        expect(await store.revoke(other.id, "", context)).toEqual(refused("TOKEN_REVOKED"));
        expect(await store.findByDigest(child.digest)).toBeNull();
        expect(await store.get(other.id)).toMatchObject({ revokedAtMs: null });
        expect(store.head().revision).toBe(3);
      });

      it("is refused when it comes together with the revocation of the maker, and after it", async () => {
        const [maker, other] = [await create(mayWrite), await create(given)];
        const ask = () => store.create(aNewToken(given), null, anyLimit, byBearer(maker, nowMs));
        const outcomes = await Promise.all([
          ask(),
          store.revoke(maker.id, "", at(nowMs)),
          ...Array.from({ length: 20 }, ask),
          store.revoke(other.id, "", byBearer(maker, nowMs)),
        ]);
        const [before, ...others] = outcomes.map((one) => one?.kind);
        expect(others).toEqual(["revoked", ...Array.from({ length: 21 }, () => "maker_refused")]);
        // Of changes that wait together, the store may take the revocation first.
        expect(["created", "maker_refused"]).toContain(before);
        expect(store.head().revision).toBe(before === "created" ? 4 : 3);
      });

      it("is refused from the millisecond the maker expires, by the time that the change would have", async () => {
        const maker = await create({ ...mayWrite, expiresAtMs: nowMs + 10 });
        const [first, second, third] = [0, 1, 2].map(() => aNewToken({ ...given, expiresAtMs: nowMs + 10 }));
        const ask = (child = aNewToken(), atMs = nowMs) => store.create(child, null, anyLimit, byBearer(maker, atMs));
        expect(await ask(first, nowMs + 9)).toMatchObject({ kind: "created" });
        expect(await ask(second, nowMs + 10)).toEqual(refused("TOKEN_EXPIRED"));
        await create({}, at(nowMs + 10));
        expect(await ask(third, nowMs + 9)).toEqual(refused("TOKEN_EXPIRED"));
        expect(await store.revoke(first?.id ?? "", "", byBearer(maker, nowMs + 9))).toEqual(refused("TOKEN_EXPIRED"));
      });

      it("shows no key again once the maker is revoked", async () => {
        const maker = await create(mayWrite);
        const ask = () => store.create(aNewToken(given), aRequest("1"), anyLimit, byBearer(maker, nowMs));
        expect(await ask()).toMatchObject({ kind: "created" });
        expect(sealedKeyIn(await ask())).toBe("sealed 1");
        await revoke(maker);
        expect(await ask()).toEqual(refused("TOKEN_REVOKED"));
      });

      it("is refused when no token is the maker", async () => {
        const ask = await store.create(aNewToken(), null, anyLimit, byBearer({ id: mintTokenId() }, nowMs));
        expect(ask).toEqual(refused("KEY_UNKNOWN"));
      });

      it("is refused when the maker does not cover it", async () => {
        const maker = await create({ ...mayWrite, expiresAtMs: nowMs + 10 });
        const secret = await create({ type: "secret", permissions: [] });
        const reader = await create({ permissions: ["tokens:read", "charges:write"] });
        const published = await create({ type: "publishable", permissions: [] });
        const whole = { ...given, expiresAtMs: nowMs + 10 };
        const made = async (by: Token, facts: Partial<NewToken>) =>
          (await store.create(aNewToken(facts), null, anyLimit, byBearer(by, nowMs))).kind;
        expect(await made(maker, whole)).toBe("created");
        expect(await made(secret, { permissions: ["tokens:write"] })).toBe("created");
        for (const [by, facts] of [
          [maker, { ...whole, permissions: ["refunds:read"] }],
          [maker, { ...whole, permissions: ["tokens:read"] }],
          [maker, { ...whole, expiresAtMs: null }],
          [maker, { ...whole, livemode: false }],
          [maker, { ...whole, account: "acct_2" }],
          [reader, whole],
          [published, whole],
          [secret, { type: "secret", permissions: [] }],
          [secret, { livemode: false }],
        ] as const) {
          expect(await made(by, facts), JSON.stringify(facts)).toBe("maker_refused");
        }
        const revokedBy = async (by: Token, { id }: Token) => (await store.revoke(id, "", byBearer(by, nowMs)))?.kind;
        const uncovered = [
          { permissions: ["refunds:read"] },
          { ...given, account: "acct_2" },
          { ...given, livemode: false },
        ];
        for (const other of [secret, published, ...(await Promise.all(uncovered.map((facts) => create(facts))))]) {
          expect(await revokedBy(maker, other)).toBe("maker_refused");
        }
        expect(await revokedBy(reader, await create(given))).toBe("maker_refused");
        expect(await revokedBy(maker, await create(given))).toBe("revoked");
        expect(await revokedBy(secret, maker)).toBe("revoked");
      });
    });

    describe("findByDigest and get", () => {
      it("answer null when there is none", async () => {
        await create();
        expect(await store.findByDigest(randomBytes(32))).toBeNull();
        expect(await store.get(mintTokenId())).toBeNull();
      });

      it("answer a token whether it is live, expired or revoked", async () => {
        const facts = [aNewToken(), aNewToken({ expiresAtMs: nowMs + 1 }), aNewToken()];
        await Promise.all(facts.map((one) => store.create(one, null, anyLimit, at(nowMs))));
        await store.revoke(facts[2]?.id ?? "", "", at(nowMs + 5));
        for (const { id, digest } of facts) {
          expect(await store.findByDigest(digest)).toMatchObject({ id });
          expect(await store.get(id)).toMatchObject({ id });
        }
      });
    });

    describe("recordUses", () => {
      async function lastUseOf(token: Token): Promise<number | null | undefined> {
        return (await store.get(token.id))?.lastUsedAtMs;
      }

      it("keeps the first use, and moves it forward by 60 seconds or more only", async () => {
        const token = await create();
        const { createRevision } = token;
        expect(await lastUseOf(token)).toBeNull();
        await store.recordUses([{ createRevision, usedAtMs: nowMs }]);
        expect(await lastUseOf(token)).toBe(nowMs);
        await store.recordUses([{ createRevision, usedAtMs: nowMs + lastUsePrecisionMs - 1 }]);
        expect(await lastUseOf(token)).toBe(nowMs);
        await store.recordUses([{ createRevision, usedAtMs: nowMs + lastUsePrecisionMs }]);
        expect(await lastUseOf(token)).toBe(nowMs + lastUsePrecisionMs);
        await store.recordUses([{ createRevision, usedAtMs: nowMs }]);
        expect(await lastUseOf(token)).toBe(nowMs + lastUsePrecisionMs);
      });

      it("moves 1000 tokens at once, and refuses more", async () => {
        const tokens = await Promise.all(Array.from({ length: 1001 }, () => create()));
        const uses = tokens.map(({ createRevision }) => ({ createRevision, usedAtMs: nowMs + createRevision }));
        await expect(store.recordUses(uses)).rejects.toMatchObject({ reason: "UNDECIDED" });
        await store.recordUses(uses.slice(0, 1000));
        for (const token of tokens.slice(0, 1000)) {
          expect(await lastUseOf(token)).toBe(nowMs + token.createRevision);
        }
      });

      it("appends nothing to the journal", async () => {
        const { createRevision } = await create();
        const before = store.head();
        await store.recordUses([{ createRevision, usedAtMs: nowMs }]);
        expect(store.head()).toEqual(before);
      });
    });

    describe("list", () => {
      it("answers an empty page without a next when there are no tokens", async () => {
        expect(await store.list(aQuery())).toEqual({ tokens: [], next: null });
      });

      it("goes from the newest to the oldest, and back", async () => {
        const tokens = [await create(), await create(), await create()];
        expect(await store.list(aQuery())).toEqual({ tokens: tokens.toReversed(), next: null });
        expect(await store.list(aQuery({ direction: "newer" }))).toEqual({ tokens, next: null });
      });

      it("starts beyond `after` and has a next only when a token is left", async () => {
        const [one, two, three] = [await create(), await create(), await create()];
        const first = await store.list(aQuery({ limit: 2 }));
        expect(first).toEqual({ tokens: [three, two], next: two.createRevision });
        expect(await store.list(aQuery({ limit: 2, after: first.next }))).toEqual({ tokens: [one], next: null });
        const second = await store.list(aQuery({ limit: 1, after: one.createRevision, direction: "newer" }));
        expect(second).toEqual({ tokens: [two], next: two.createRevision });
        expect(await store.list(aQuery({ limit: 3 }))).toMatchObject({ next: null });
      });

      it("returns no more than maxBytes hold, but one token at least, and has a next when it ends for that", async () => {
        const made = [await create(), await create(), await create()].toReversed();
        const maxBytes = answerBytes(made[0] as Token) + answerBytes(made[1] as Token);
        const first = await store.list(aQuery({ maxBytes }));
        expect(first.tokens).toEqual(made.slice(0, 2));
        expect(await store.list(aQuery({ maxBytes, after: first.next }))).toEqual({
          tokens: made.slice(2),
          next: null,
        });
        expect(await allInPages(aQuery({ maxBytes: maxBytes - 1 }))).toEqual(made);
        expect(await allInPages(aQuery({ maxBytes: 1 }))).toEqual(made);
      });

      it("starts beyond any token's revision, also that of one which does not pass the filter", async () => {
        const [first, other, last] = [await create(), await create({ livemode: false }), await create()];
        const filter = { ...everything, livemode: true };
        const from = (direction: "older" | "newer") =>
          store.list(aQuery({ filter, direction, after: other.createRevision }));
        expect(await from("older")).toEqual({ tokens: [first], next: null });
        expect(await from("newer")).toEqual({ tokens: [last], next: null });
      });

      it("looks at no more than scanLimit tokens, and has a next when it ends for that", async () => {
        const rare = await create({ name: "rare", livemode: false });
        await Promise.all(Array.from({ length: 25 }, () => create()));
        const filter = { ...everything, livemode: false };
        const first = await store.list(aQuery({ filter, scanLimit: 10 }));
        expect(first.tokens).toEqual([]);
        expect(first.next).not.toBeNull();
        const second = await store.list(aQuery({ filter, scanLimit: 10, after: first.next }));
        expect(second.tokens).toEqual([]);
        const third = await store.list(aQuery({ filter, scanLimit: 10, after: second.next }));
        expect(third).toEqual({ tokens: [rare], next: null });
      });

      it("has no next when the last token it may look at is the last there is", async () => {
        await Promise.all(Array.from({ length: 10 }, () => create()));
        const filter = { ...everything, livemode: false };
        expect(await store.list(aQuery({ filter, scanLimit: 10 }))).toEqual({ tokens: [], next: null });
      });

      it("counts only tokens of the account as looked at", async () => {
        const own = await create({ account: "mine" });
        await Promise.all(Array.from({ length: 20 }, () => create({ account: "other" })));
        const filter = { ...everything, account: "mine" };
        expect(await store.list(aQuery({ filter, scanLimit: 5 }))).toEqual({ tokens: [own], next: null });
      });

      it("neither repeats nor leaves out a token while others come and go", async () => {
        const tokens = await Promise.all(Array.from({ length: 30 }, () => create()));
        const seen: string[] = [];
        for (let after: number | null = null; ; ) {
          const page = await store.list(aQuery({ limit: 4, after }));
          seen.push(...page.tokens.map(({ id }) => id));
          await create();
          await revoke(tokens[seen.length % 30] ?? { id: "" });
          if (page.next === null) {
            break;
          }
          after = page.next;
        }
        expect(seen.toSorted()).toEqual(tokens.map(({ id }) => id).toSorted());
      });

      it("takes a permission as what it covers, and nothing for a part of it", async () => {
        const write = await create({ permissions: ["charges:write"] });
        const read = await create({ permissions: ["a:read", "charges:read"] });
        const secret = await create({ type: "secret", permissions: [] });
        await create({ type: "publishable", permissions: [] });
        await create({ permissions: ["my_charges:read", "charges_old:read", "charge:read"] });
        const who = (permission: string) => store.list(aQuery({ filter: { ...everything, permission } }));
        expect((await who("charges:read")).tokens).toEqual([secret, read, write]);
        expect((await who("charges:write")).tokens).toEqual([secret, write]);
      });

      it("takes a part of a name as it stands, but for upper and lower case of ASCII letters", async () => {
        const percent = await create({ name: "100% Till" });
        const low = await create({ name: "a_b till" });
        const umlaut = await create({ name: "Äpfel" });
        const who = async (nameContains: string) =>
          (await store.list(aQuery({ filter: { ...everything, nameContains } }))).tokens;
        expect(await who("TILL")).toEqual([low, percent]);
        expect(await who("%")).toEqual([percent]);
        expect(await who("A_B")).toEqual([low]);
        expect(await who("a%b")).toEqual([]);
        expect(await who("ÄPFEL")).toEqual([umlaut]);
        expect(await who("äpfel")).toEqual([]);
      });

      it("takes a hint as the whole of it, upper and lower case apart", async () => {
        const token = await create({ keyHint: "aB3z" });
        await create({ keyHint: "ab3z" });
        const who = async (keyHint: string) =>
          (await store.list(aQuery({ filter: { ...everything, keyHint } }))).tokens;
        expect(await who("aB3z")).toEqual([token]);
        expect(await who("aB3")).toEqual([]);
      });

      it("answers what a filter written in the words of the domain answers, page by page, both ways", async () => {
        const model = await populate(store);
        await fc.assert(
          fc.asyncProperty(queries(model.length), async (query) => {
            const scope = inOrder(model, query).filter(
              ({ account }) => query.filter.account === null || account === query.filter.account,
            );
            const matching = scope.filter((token) => passes(token, query.filter, query.nowMs));
            expect(await allInPages(query)).toEqual(matching);

            const page = await store.list(query);
            const lookedAt = scope.slice(0, query.scanLimit);
            expect(page.tokens.length).toBeLessThanOrEqual(query.limit);
            expect(page.tokens.length <= 1 || bytesOf(page.tokens) <= query.maxBytes).toBe(true);
            expect(lookedAt).toEqual(expect.arrayContaining([...page.tokens]));
            if (page.next !== null) {
              const isFull =
                page.tokens.length === query.limit ||
                bytesOf(matching.slice(0, page.tokens.length + 1)) > query.maxBytes;
              const isMatchLeft = matching.length > page.tokens.length && isFull;
              expect(isMatchLeft || scope.length > query.scanLimit).toBe(true);
            }
          }),
          { numRuns: 150 },
        );
      }, 60_000);
    });

    describe("listChanges", () => {
      async function revisionsIn(query: ChangeQuery): Promise<readonly number[] | undefined> {
        return (await store.listChanges(query))?.changes.map(({ revision }) => revision);
      }

      it("answers an empty page without a next when nothing has changed yet", async () => {
        expect(await store.listChanges(aChangeQuery())).toEqual({ changes: [], next: null });
      });

      it("answers every fact of a change, newest first, with the hash that continues the chain", async () => {
        const facts = aNewToken();
        const { head } = createdIn(await store.create(facts, null, anyLimit, at(nowMs, "maker")));
        const revoked = revokedIn(await store.revoke(facts.id, "leaked", at(nowMs + 1, "ender")));
        const shared = { tokenId: facts.id, account: "acct_1", tokenName: "Till 7", hash: expect.anything() };
        const created = { revision: 1, atMs: nowMs, caller: "maker", action: "create", ...shared, revokeReason: "" };
        const ended = {
          revision: 2,
          atMs: nowMs + 1,
          caller: "ender",
          action: "revoke",
          ...shared,
          revokeReason: "leaked",
        };
        for (const tokenId of [null, facts.id]) {
          const page = await store.listChanges(aChangeQuery({ tokenId }));
          expect(page).toEqual({ changes: [ended, created], next: null });
          expect(page?.changes.map(({ hash }) => hex(hash))).toEqual([hex(revoked.head?.hash), hex(head.hash)]);
        }
      });

      it("answers those of one token alone, whatever came between", async () => {
        const [first, second] = [await create(), await create()];
        await create();
        await revoke(first);
        expect(await revisionsIn(aChangeQuery({ tokenId: first.id }))).toEqual([4, 1]);
        expect(await revisionsIn(aChangeQuery({ tokenId: second.id }))).toEqual([2]);
      });

      it("answers null when no token has the id", async () => {
        await create();
        expect(await store.listChanges(aChangeQuery({ tokenId: mintTokenId() }))).toBeNull();
      });

      it("starts beyond `after`, and has a next only when a change is left", async () => {
        const token = await create();
        await create();
        await revoke(token);
        expect(await store.listChanges(aChangeQuery({}, { limit: 2 }))).toMatchObject({ next: 2 });
        expect(await store.listChanges(aChangeQuery({}, { limit: 3 }))).toMatchObject({ next: null });
        expect(await revisionsIn(aChangeQuery({}, { limit: 2, after: 2 }))).toEqual([1]);
        const ofToken = aChangeQuery({ tokenId: token.id }, { limit: 1 });
        expect(await store.listChanges(ofToken)).toMatchObject({ changes: [{ revision: 3 }], next: 3 });
        expect(await store.listChanges({ ...ofToken, after: 3 })).toMatchObject({
          changes: [{ revision: 1 }],
          next: null,
        });
      });

      it("answers the whole journal page by page, also pages longer than what is read at once", async () => {
        await Promise.all(Array.from({ length: 700 }, () => create()));
        const revisions: number[] = [];
        for (let after: number | null = null; ; ) {
          const page: ChangePage | null = await store.listChanges(aChangeQuery({}, { after, limit: 300 }));
          revisions.push(...(page?.changes ?? []).map(({ revision }) => revision));
          after = page?.next ?? null;
          if (after === null) {
            break;
          }
        }
        expect(revisions).toEqual(Array.from({ length: 700 }, (_, index) => 700 - index));
      });

      it("looks at no more than scanLimit changes, and has a next when it ends for that", async () => {
        await create({ account: "rare" });
        await Promise.all(Array.from({ length: 25 }, () => create()));
        const rare = (after: number | null) =>
          store.listChanges(aChangeQuery({ account: "rare" }, { scanLimit: 10, after }));
        expect(await rare(null)).toEqual({ changes: [], next: 17 });
        expect(await rare(17)).toEqual({ changes: [], next: 7 });
        expect(await rare(7)).toMatchObject({ changes: [{ revision: 1 }], next: null });
        expect(await rare(12)).toEqual({ changes: [], next: 2 });
      });

      it("returns no more than maxBytes hold, but one change at least, and has a next when it ends for that", async () => {
        for (const name of ["ä".repeat(100), "b", "c"]) {
          await create({ name });
        }
        const all = (await store.listChanges(aChangeQuery()))?.changes ?? [];
        const bytes = all.map(changeBytes);
        const maxBytes = (bytes[0] ?? 0) + (bytes[1] ?? 0);
        const page = (bound: number, after: number | null = null) =>
          store.listChanges(aChangeQuery({}, { maxBytes: bound, after }));
        expect(await page(maxBytes)).toEqual({ changes: all.slice(0, 2), next: 2 });
        expect(await page(maxBytes - 1)).toEqual({ changes: all.slice(0, 1), next: 3 });
        expect(await page(1, 2)).toEqual({ changes: all.slice(2), next: null });
      });

      it("answers what a filter written in the words of the domain answers, page by page", async () => {
        const tokens = await populate(store);
        const { changes: model } = (await store.listChanges(aChangeQuery())) ?? { changes: [] };
        expect(model).toHaveLength(tokens.length + tokens.filter(({ revokedAtMs }) => revokedAtMs !== null).length);
        const ids = fc.constantFrom(...tokens.map(({ id }) => id));
        const filters: fc.Arbitrary<ChangeFilter> = fc.record({
          tokenId: fc.option(ids, { freq: 1 }),
          caller: fc.option(fc.constantFrom(...callers, "nobody")),
          action: fc.option(fc.constantFrom("create", "revoke")),
          account: fc.option(account),
          changedFromMs: fc.option(someTime),
          changedBeforeMs: fc.option(someTime),
        });
        const limits = fc.integer({ min: 1, max: 40 });
        const scanLimits = fc.oneof(fc.integer({ min: 1, max: 300 }), fc.constant(10_000));
        await fc.assert(
          fc.asyncProperty(filters, limits, scanLimits, async (filter, limit, scanLimit) => {
            const found: Change[] = [];
            for (let after: number | null = null; ; ) {
              const page: ChangePage | null = await store.listChanges(
                aChangeQuery(filter, { limit, scanLimit, after }),
              );
              expect(page?.changes.length).toBeLessThanOrEqual(limit);
              found.push(...(page?.changes ?? []));
              after = page?.next ?? null;
              if (after === null) {
                break;
              }
            }
            expect(found).toEqual(model.filter((change) => passesChange(change, filter)));
          }),
          { numRuns: 100 },
        );
      }, 60_000);
    });

    describe("listAccounts", () => {
      function anAccountQuery(facts: Partial<AccountQuery> = {}): AccountQuery {
        return { prefix: "", after: null, limit: 1000, scanLimit: 100_000, countTo: 10_000, nowMs, ...facts };
      }

      async function namesIn(facts: Partial<AccountQuery>): Promise<readonly string[]> {
        return (await store.listAccounts(anAccountQuery(facts))).accounts.map(({ account: name }) => name);
      }

      it("answers an empty page without a next when there are no tokens", async () => {
        expect(await store.listAccounts(anAccountQuery())).toEqual({ accounts: [], next: null });
      });

      it("answers each account once, in the order of its bytes", async () => {
        const inBytes = ["-", "0", "A", "Z", "_", "a", "aa", "b", "z"];
        for (const name of [...inBytes.toReversed(), ...inBytes]) {
          await create({ account: name });
        }
        expect(await namesIn({})).toEqual(inBytes);
      });

      it("counts the tokens of an account by the state that each has at this millisecond", async () => {
        await create();
        await create({ expiresAtMs: nowMs + 10 });
        await create({ expiresAtMs: nowMs + 20 });
        await revoke(await create({ expiresAtMs: nowMs + 10 }));
        await create({ account: "other" });
        const counts = async (atMs: number) =>
          (await store.listAccounts(anAccountQuery({ nowMs: atMs, prefix: "acct" }))).accounts;
        expect(await counts(nowMs + 9)).toEqual([{ account: "acct_1", active: 3, expired: 0, revoked: 1 }]);
        expect(await counts(nowMs + 10)).toEqual([{ account: "acct_1", active: 2, expired: 1, revoked: 1 }]);
        expect(await counts(nowMs + 20)).toEqual([{ account: "acct_1", active: 1, expired: 2, revoked: 1 }]);
      });

      it("counts no state further than `countTo`, and each exactly up to there, whatever the others come to", async () => {
        for (let count = 0; count < 4; count += 1) {
          await create();
          await create({ expiresAtMs: nowMs + 1 });
          await create({ expiresAtMs: nowMs + 100 });
        }
        await revoke(await create());
        const counts = async (countTo: number) =>
          (await store.listAccounts(anAccountQuery({ countTo, nowMs: nowMs + 1 }))).accounts[0];
        expect(await counts(3)).toEqual({ account: "acct_1", active: 3, expired: 3, revoked: 1 });
        expect(await counts(7)).toEqual({ account: "acct_1", active: 7, expired: 4, revoked: 1 });
        expect(await counts(9)).toEqual({ account: "acct_1", active: 8, expired: 4, revoked: 1 });
      });

      it("answers only accounts that begin with the prefix, the prefix itself among them", async () => {
        for (const name of ["a", "ab", "ab_c", "abz", "ac", "b"]) {
          await create({ account: name });
        }
        expect(await namesIn({ prefix: "ab" })).toEqual(["ab", "ab_c", "abz"]);
        expect(await namesIn({ prefix: "ab_c1" })).toEqual([]);
        expect(await namesIn({ prefix: "B" })).toEqual([]);
        expect(await store.listAccounts(anAccountQuery({ prefix: "ab", limit: 3 }))).toMatchObject({ next: null });
      });

      it("starts beyond `after`, and has a next only when an account is left", async () => {
        for (const name of ["a", "b", "c"]) {
          await create({ account: name });
        }
        expect(await store.listAccounts(anAccountQuery({ limit: 2 }))).toMatchObject({ next: "b" });
        expect(await store.listAccounts(anAccountQuery({ limit: 3 }))).toMatchObject({ next: null });
        expect(await namesIn({ limit: 2, after: "b" })).toEqual(["c"]);
        expect(await namesIn({ after: "aa" })).toEqual(["b", "c"]);
        expect(await namesIn({ after: "c" })).toEqual([]);
      });

      it("ends a page with the account that brings the tokens counted to `scanLimit`, and goes on after it", async () => {
        for (const name of ["a", "a", "b", "b", "c"]) {
          await create({ account: name });
        }
        expect(await store.listAccounts(anAccountQuery({ scanLimit: 1 }))).toMatchObject({ next: "a" });
        expect(await store.listAccounts(anAccountQuery({ scanLimit: 3 }))).toMatchObject({ next: "b" });
        expect(await store.listAccounts(anAccountQuery({ scanLimit: 5 }))).toMatchObject({ next: null });
        expect(await namesIn({ scanLimit: 3, after: "a" })).toEqual(["b", "c"]);
      });
    });

    describe("the times of changes", () => {
      it("never fall, whatever the order in which threads ask", async () => {
        const first = await create({}, at(nowMs + 2));
        const second = await create({}, at(nowMs));
        expect([second.createdAtMs, store.head().atMs]).toEqual([nowMs + 2, nowMs + 2]);
        expect((await revoke(first, nowMs + 1)).revokedAtMs).toBe(nowMs + 2);
        expect((await revoke(second, nowMs + 3)).revokedAtMs).toBe(nowMs + 3);
      });
    });

    describe("head and isServing", () => {
      it("start with an empty journal that serves", () => {
        expect(store.head()).toEqual(emptyHead);
        expect(store.isServing()).toBe(true);
      });

      it("answer the newest change", async () => {
        const token = await create({}, at(nowMs));
        const outcome = revokedIn(await store.revoke(token.id, "", at(nowMs + 1)));
        expect(store.head()).toMatchObject({ revision: 2, atMs: nowMs + 1 });
        expect(hex(store.head().hash)).toBe(hex(outcome.head?.hash));
      });
    });

    describe("changeSignal and changesAfter", () => {
      it("signal another number after each change that was answered, and the same while nothing changes", async () => {
        const before = store.changeSignal();
        const token = aNewToken();
        await store.create(token, null, anyLimit, at(nowMs));
        const created = store.changeSignal();
        await store.revoke(token.id, "", at(nowMs));
        const revoked = store.changeSignal();
        expect(new Set([before, created, revoked]).size).toBe(3);
        expect(store.changeSignal()).toBe(revoked);
      });

      it("answer the changes after a revision, oldest first, with the digest of the token that each is of", async () => {
        const first = aNewToken();
        const second = aNewToken();
        await store.create(first, null, anyLimit, at(nowMs));
        await store.create(second, null, anyLimit, at(nowMs));
        await store.revoke(first.id, "", at(nowMs));
        const changes = (after: number) =>
          store.changesAfter(after, 10)?.map(({ revision, digest }) => [revision, Buffer.from(digest)]);
        expect(changes(0)).toEqual([
          [1, first.digest],
          [2, second.digest],
          [3, first.digest],
        ]);
        expect(changes(2)).toEqual([[3, first.digest]]);
        expect(changes(3)).toEqual([]);
      });

      it("answer null when there are more than the limit, and all of them at the limit", async () => {
        for (let count = 0; count < 3; count += 1) {
          await store.create(aNewToken(), null, anyLimit, at(nowMs));
        }
        expect(store.changesAfter(0, 3)).toHaveLength(3);
        expect(store.changesAfter(0, 2)).toBeNull();
      });
    });

    describe("a closed store", () => {
      it("keeps everything for the next opening", async () => {
        const facts = aNewToken();
        const { token } = createdIn(await store.create(facts, aRequest("1"), anyLimit, at(nowMs)));
        await store.recordUses([{ createRevision: 1, usedAtMs: nowMs }]);
        await revoke(await create());
        const head = store.head();
        await store[Symbol.asyncDispose]();
        store = await open(directory);
        expect(store.head()).toEqual(head);
        expect(await store.findByDigest(facts.digest)).toEqual(token);
        expect(await store.get(facts.id)).toEqual({ ...token, lastUsedAtMs: nowMs });
        expect(await store.create(aNewToken(), aRequest("1"), anyLimit, at(nowMs))).toMatchObject({ kind: "replayed" });
        expect(await create()).toMatchObject({ createRevision: 4 });
      });

      it("has done what was asked of it before", async () => {
        const waiting = Promise.all(Array.from({ length: 50 }, () => create()));
        await store[Symbol.asyncDispose]();
        expect(await waiting).toHaveLength(50);
        store = await open(directory);
        expect(store.head().revision).toBe(50);
      });

      it("says that it does not serve, and is undecided about everything", async () => {
        await store[Symbol.asyncDispose]();
        const undecided = { reason: "UNDECIDED" };
        expect(store.isServing()).toBe(false);
        await expect(async () => store.findByDigest(randomBytes(32))).rejects.toMatchObject(undecided);
        await expect(store.get(mintTokenId())).rejects.toMatchObject(undecided);
        await expect(store.list(aQuery())).rejects.toMatchObject(undecided);
        await expect(store.listChanges(aChangeQuery())).rejects.toMatchObject(undecided);
        const accounts = { prefix: "", after: null, limit: 1, scanLimit: 1, countTo: 1, nowMs };
        await expect(store.listAccounts(accounts)).rejects.toMatchObject(undecided);
        await expect(create()).rejects.toMatchObject(undecided);
        await expect(store.revoke(mintTokenId(), "", at(nowMs))).rejects.toMatchObject(undecided);
        await expect(store.recordUses([])).rejects.toMatchObject(undecided);
        await expect(store.forgetRequests(nowMs)).rejects.toMatchObject(undecided);
        store = await open(directory);
      });
    });
  });
}

function createdIn(outcome: CreateOutcome): Extract<CreateOutcome, { kind: "created" }> {
  if (outcome.kind !== "created") {
    throw new Error(`not created: ${outcome.kind}`);
  }
  return outcome;
}

export function revokedIn(outcome: RevokeOutcome | null): Extract<RevokeOutcome, { kind: "revoked" }> {
  if (outcome?.kind !== "revoked") {
    throw new Error(`not revoked: ${outcome?.kind}`);
  }
  return outcome;
}

function sealedKeyIn(outcome: CreateOutcome): string | null {
  if (outcome.kind !== "replayed" || outcome.sealedKey === null) {
    return null;
  }
  return Buffer.from(outcome.sealedKey).toString();
}

function hex(bytes: Uint8Array | undefined): string {
  return Buffer.from(bytes ?? []).toString("hex");
}

const resources = ["charges", "refunds", "my_charges"] as const;
const permission = fc
  .tuple(fc.constantFrom(...resources), fc.constantFrom("read", "write"))
  .map((two) => two.join(":"));
const account = fc.constantFrom("a", "b", "c");
const hints = ["Zz09", "zz09", "0000"] as const;
const names = ["Till 7", "till 70%", "TILL_7", "Ünï 💶", "ünï 💶"] as const;
const callers = ["local", "spiffe://casapay/till", "tok_1"] as const;
const partsOfNames = ["till", "L 7", "%", "_", "7", "ü", "Ü", "💶", "\\", "'"] as const;
const someTime = fc.integer({ min: nowMs - 50, max: nowMs + 50 });

/** Creates, uses and revokes tokens of every kind, and returns them oldest first. */
async function populate(store: TokenStore): Promise<readonly Token[]> {
  const lives = fc.record({
    account,
    type: fc.constantFrom(...tokenTypes),
    livemode: fc.boolean(),
    permissions: fc.uniqueArray(permission, { minLength: 1, maxLength: 4 }),
    createdAtMs: someTime,
    ttlMs: fc.option(fc.integer({ min: 1, max: 60 })),
    usedAtMs: fc.option(someTime),
    isRevoked: fc.boolean(),
    caller: fc.constantFrom(...callers),
    name: fc.constantFrom(...names),
    keyHint: fc.constantFrom(...hints),
  });
  const tokens: Token[] = [];
  const inOrder = fc
    .sample(lives, { numRuns: 300, seed: 20_261_124 })
    .toSorted((a, b) => a.createdAtMs - b.createdAtMs);
  for (const life of inOrder) {
    const { token } = createdIn(
      await store.create(
        aNewToken({
          account: life.account,
          type: life.type,
          livemode: life.livemode,
          name: life.name,
          keyHint: life.keyHint,
          permissions: life.type === "restricted" ? life.permissions : [],
          expiresAtMs: life.ttlMs === null ? null : life.createdAtMs + life.ttlMs,
        }),
        null,
        anyLimit,
        at(life.createdAtMs, life.caller),
      ),
    );
    if (life.usedAtMs !== null) {
      await store.recordUses([{ createRevision: token.createRevision, usedAtMs: life.usedAtMs }]);
    }
    const revoked = life.isRevoked ? revokedIn(await store.revoke(token.id, "", at(life.createdAtMs + 1))) : null;
    tokens.push({ ...(revoked?.token ?? token), lastUsedAtMs: life.usedAtMs });
  }
  return tokens;
}

function bytesOf(tokens: readonly Token[]): number {
  return tokens.reduce((bytes, token) => bytes + answerBytes(token), 0);
}

function queries(tokens: number): fc.Arbitrary<TokenQuery> {
  return fc.record({
    filter: fc.record({
      account: fc.option(account),
      types: fc.array(fc.constantFrom(...tokenTypes), { maxLength: 4 }),
      livemode: fc.option(fc.boolean()),
      states: fc.array(fc.constantFrom(...tokenStates), { maxLength: 4 }),
      permission: fc.option(permission),
      createdFromMs: fc.option(someTime, { freq: 2 }),
      createdBeforeMs: fc.option(someTime, { freq: 2 }),
      expiresBeforeMs: fc.option(someTime, { freq: 2 }),
      unusedSinceMs: fc.option(someTime, { freq: 2 }),
      nameContains: fc.option(fc.constantFrom(...partsOfNames), { freq: 2 }),
      keyHint: fc.option(fc.constantFrom(...hints), { freq: 2 }),
      createdBy: fc.option(fc.constantFrom(...callers), { freq: 2 }),
    }),
    direction: fc.constantFrom("older", "newer"),
    after: fc.option(fc.integer({ min: 0, max: 2 * tokens + 1 })),
    limit: fc.integer({ min: 1, max: 40 }),
    scanLimit: fc.oneof(fc.integer({ min: 1, max: 60 }), fc.constant(10_000)),
    maxBytes: fc.oneof(fc.integer({ min: 1, max: 10_000 }), fc.constant(1_000_000)),
    nowMs: someTime,
  });
}

/** ASCII alone: what SQLite can tell apart without a library. */
function inLowerCase(text: string): string {
  return text.replaceAll(/[A-Z]/g, (letter) => letter.toLowerCase());
}

function inOrder(model: readonly Token[], { direction, after }: TokenQuery): readonly Token[] {
  return direction === "older"
    ? model.filter(({ createRevision }) => after === null || createRevision < after).toReversed()
    : model.filter(({ createRevision }) => after === null || createRevision > after);
}

function passes(token: Token, filter: TokenFilter, atMs: number): boolean {
  return (
    (filter.account === null || token.account === filter.account) &&
    (filter.types.length === 0 || filter.types.includes(token.type)) &&
    (filter.livemode === null || token.livemode === filter.livemode) &&
    (filter.states.length === 0 || filter.states.includes(stateOf(token, atMs))) &&
    (filter.permission === null ||
      missingPermissions(token.type, token.permissions, [filter.permission]).length === 0) &&
    (filter.createdFromMs === null || token.createdAtMs >= filter.createdFromMs) &&
    (filter.createdBeforeMs === null || token.createdAtMs < filter.createdBeforeMs) &&
    (filter.expiresBeforeMs === null || (token.expiresAtMs !== null && token.expiresAtMs < filter.expiresBeforeMs)) &&
    (filter.unusedSinceMs === null || (token.lastUsedAtMs ?? token.createdAtMs) < filter.unusedSinceMs) &&
    (filter.nameContains === null || inLowerCase(token.name).includes(inLowerCase(filter.nameContains))) &&
    (filter.keyHint === null || token.keyHint === filter.keyHint) &&
    (filter.createdBy === null || token.createdBy === filter.createdBy)
  );
}

function passesChange(change: Change, filter: ChangeFilter): boolean {
  return (
    (filter.tokenId === null || change.tokenId === filter.tokenId) &&
    (filter.caller === null || change.caller === filter.caller) &&
    (filter.action === null || change.action === filter.action) &&
    (filter.account === null || change.account === filter.account) &&
    (filter.changedFromMs === null || change.atMs >= filter.changedFromMs) &&
    (filter.changedBeforeMs === null || change.atMs < filter.changedBeforeMs)
  );
}
