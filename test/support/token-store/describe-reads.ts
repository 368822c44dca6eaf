import { randomBytes } from "node:crypto";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import {
  type Change,
  changeBytes,
  createFacts,
  emptyHead,
  hashChange,
  reasonFacts,
} from "../../../src/authority/journal.ts";
import { mintTokenId } from "../../../src/authority/key.ts";
import { answerBytes, type Token } from "../../../src/authority/token.ts";
import type {
  AccountQuery,
  ChangeFilter,
  ChangePage,
  ChangeQuery,
  TokenQuery,
} from "../../../src/authority/token-store.ts";
import {
  aChangeQuery,
  aNewToken,
  anyLimit,
  aQuery,
  at,
  createdIn,
  everything,
  hex,
  nowMs,
  revokedIn,
} from "./builders.ts";
import { account, bytesOf, callers, inOrder, passes, passesChange, populate, queries, someTime } from "./population.ts";
import type { StoreRig } from "./store-rig.ts";

/** The promises of TokenReads. */
export function describeReads(rig: StoreRig): void {
  const { create, revoke } = rig;

  describe("findByDigest and get", () => {
    it("see a change from its answer on, at whichever view of the store it was asked for", async () => {
      const views = [rig.store, await rig.openView(), await rig.openView()];
      for (let round = 0; round < 30; round += 1) {
        const [asked, other] = [views[round % 3] ?? rig.store, views[(round + 1) % 3] ?? rig.store];
        const facts = aNewToken();
        await asked.create(facts, null, anyLimit, at(nowMs));
        expect(await other.findByDigest(facts.digest)).toMatchObject({ id: facts.id, revokedAtMs: null });
        await asked.revoke(facts.id, "", at(nowMs));
        expect(await other.findByDigest(facts.digest)).toMatchObject({ id: facts.id, revokedAtMs: nowMs });
        expect(await other.get(facts.id)).toMatchObject({ revokedAtMs: nowMs });
      }
    });

    it("answer null when there is none", async () => {
      await create();
      expect(await rig.store.findByDigest(randomBytes(32))).toBeNull();
      expect(await rig.store.get(mintTokenId())).toBeNull();
    });

    it("answer a token whether it is live, expired or revoked", async () => {
      const facts = [aNewToken(), aNewToken({ expiresAtMs: nowMs + 1 }), aNewToken()];
      await Promise.all(facts.map((one) => rig.store.create(one, null, anyLimit, at(nowMs))));
      await rig.store.revoke(facts[2]?.id ?? "", "", at(nowMs + 5));
      for (const { id, digest } of facts) {
        expect(await rig.store.findByDigest(digest)).toMatchObject({ id });
        expect(await rig.store.get(id)).toMatchObject({ id });
      }
    });
  });

  describe("list", () => {
    async function allInPages(query: TokenQuery): Promise<readonly Token[]> {
      const tokens: Token[] = [];
      for (let after = query.after; ; ) {
        const page = await rig.store.list({ ...query, after });
        tokens.push(...page.tokens);
        if (page.next === null) {
          return tokens;
        }
        after = page.next;
      }
    }

    it("answers an empty page without a next when there are no tokens", async () => {
      expect(await rig.store.list(aQuery())).toEqual({ tokens: [], next: null });
    });

    it("goes from the newest to the oldest, and back", async () => {
      const tokens = [await create(), await create(), await create()];
      expect(await rig.store.list(aQuery())).toEqual({ tokens: tokens.toReversed(), next: null });
      expect(await rig.store.list(aQuery({ direction: "newer" }))).toEqual({ tokens, next: null });
    });

    it("starts beyond `after` and has a next only when a token is left", async () => {
      const [one, two, three] = [await create(), await create(), await create()];
      const first = await rig.store.list(aQuery({ limit: 2 }));
      expect(first).toEqual({ tokens: [three, two], next: two.createRevision });
      expect(await rig.store.list(aQuery({ limit: 2, after: first.next }))).toEqual({ tokens: [one], next: null });
      const second = await rig.store.list(aQuery({ limit: 1, after: one.createRevision, direction: "newer" }));
      expect(second).toEqual({ tokens: [two], next: two.createRevision });
      expect(await rig.store.list(aQuery({ limit: 3 }))).toMatchObject({ next: null });
    });

    it("returns no more than maxBytes hold, but one token at least, and has a next when it ends for that", async () => {
      const made = [await create(), await create(), await create()].toReversed();
      const maxBytes = answerBytes(made[0] as Token) + answerBytes(made[1] as Token);
      const first = await rig.store.list(aQuery({ maxBytes }));
      expect(first.tokens).toEqual(made.slice(0, 2));
      expect(await rig.store.list(aQuery({ maxBytes, after: first.next }))).toEqual({
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
        rig.store.list(aQuery({ filter, direction, after: other.createRevision }));
      expect(await from("older")).toEqual({ tokens: [first], next: null });
      expect(await from("newer")).toEqual({ tokens: [last], next: null });
    });

    it("looks at no more than scanLimit tokens, and has a next when it ends for that", async () => {
      const rare = await create({ name: "rare", livemode: false });
      await Promise.all(Array.from({ length: 25 }, () => create()));
      const filter = { ...everything, livemode: false };
      const first = await rig.store.list(aQuery({ filter, scanLimit: 10 }));
      expect(first.tokens).toEqual([]);
      expect(first.next).not.toBeNull();
      const second = await rig.store.list(aQuery({ filter, scanLimit: 10, after: first.next }));
      expect(second.tokens).toEqual([]);
      const third = await rig.store.list(aQuery({ filter, scanLimit: 10, after: second.next }));
      expect(third).toEqual({ tokens: [rare], next: null });
    });

    it("has no next when the last token it may look at is the last there is", async () => {
      await Promise.all(Array.from({ length: 10 }, () => create()));
      const filter = { ...everything, livemode: false };
      expect(await rig.store.list(aQuery({ filter, scanLimit: 10 }))).toEqual({ tokens: [], next: null });
    });

    it("counts only tokens of the account as looked at", async () => {
      const own = await create({ account: "mine" });
      await Promise.all(Array.from({ length: 20 }, () => create({ account: "other" })));
      const filter = { ...everything, account: "mine" };
      expect(await rig.store.list(aQuery({ filter, scanLimit: 5 }))).toEqual({ tokens: [own], next: null });
    });

    it("neither repeats nor leaves out a token while others come and go", async () => {
      const tokens = await Promise.all(Array.from({ length: 30 }, () => create()));
      const seen: string[] = [];
      for (let after: number | null = null; ; ) {
        const page = await rig.store.list(aQuery({ limit: 4, after }));
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
      const who = (permission: string) => rig.store.list(aQuery({ filter: { ...everything, permission } }));
      expect((await who("charges:read")).tokens).toEqual([secret, read, write]);
      expect((await who("charges:write")).tokens).toEqual([secret, write]);
    });

    it("takes a part of a name as it stands, but for upper and lower case of ASCII letters", async () => {
      const percent = await create({ name: "100% Till" });
      const low = await create({ name: "a_b till" });
      const umlaut = await create({ name: "Äpfel" });
      const who = async (nameContains: string) =>
        (await rig.store.list(aQuery({ filter: { ...everything, nameContains } }))).tokens;
      expect(await who("TILL")).toEqual([low, percent]);
      expect(await who("%")).toEqual([percent]);
      expect(await who("A_B")).toEqual([low]);
      expect(await who("a%b")).toEqual([]);
      expect(await who("ÄPFEL")).toEqual([umlaut]);
      expect(await who("äpfel")).toEqual([]);
    });

    it("takes the ends of a span of expiry as it says, and leaves out what never expires", async () => {
      await create();
      const [soon, later] = [await create({ expiresAtMs: nowMs + 10 }), await create({ expiresAtMs: nowMs + 20 })];
      const who = async (expiresFromMs: number, expiresBeforeMs: number) =>
        (await rig.store.list(aQuery({ filter: { ...everything, expiresFromMs, expiresBeforeMs } }))).tokens;
      expect(await who(nowMs + 10, nowMs + 20)).toEqual([soon]);
      expect(await who(nowMs + 11, nowMs + 21)).toEqual([later]);
      expect(await who(0, Number.MAX_SAFE_INTEGER)).toEqual([later, soon]);
    });

    it("takes a hint as the whole of it, upper and lower case apart", async () => {
      const token = await create({ keyHint: "aB3z" });
      await create({ keyHint: "ab3z" });
      const who = async (keyHint: string) =>
        (await rig.store.list(aQuery({ filter: { ...everything, keyHint } }))).tokens;
      expect(await who("aB3z")).toEqual([token]);
      expect(await who("aB3")).toEqual([]);
    });

    it("answers what a filter written in the words of the domain answers, page by page, both ways", async () => {
      const model = await populate(rig.store);
      await fc.assert(
        fc.asyncProperty(queries(model.length), async (query) => {
          const scope = inOrder(model, query).filter(
            ({ account }) => query.filter.account === null || account === query.filter.account,
          );
          const matching = scope.filter((token) => passes(token, query.filter, query.nowMs));
          expect(await allInPages(query)).toEqual(matching);

          const page = await rig.store.list(query);
          const lookedAt = scope.slice(0, query.scanLimit);
          expect(page.tokens.length).toBeLessThanOrEqual(query.limit);
          expect(page.tokens.length <= 1 || bytesOf(page.tokens) <= query.maxBytes).toBe(true);
          expect(lookedAt).toEqual(expect.arrayContaining([...page.tokens]));
          if (page.next !== null) {
            const isFull =
              page.tokens.length === query.limit || bytesOf(matching.slice(0, page.tokens.length + 1)) > query.maxBytes;
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
      return (await rig.store.listChanges(query))?.changes.map(({ revision }) => revision);
    }

    it("answers an empty page without a next when nothing has changed yet", async () => {
      expect(await rig.store.listChanges(aChangeQuery())).toEqual({ changes: [], next: null });
    });

    it("answers every fact of a change, newest first, with the hash that continues the chain", async () => {
      const facts = aNewToken();
      const { change } = createdIn(await rig.store.create(facts, null, anyLimit, at(nowMs, "maker")));
      const revoked = revokedIn(await rig.store.revoke(facts.id, "leaked", at(nowMs + 1, "ender")));
      const about = { subject: { tokenId: facts.id }, account: "acct_1", tokenName: "Till 7", tokenType: facts.type };
      const shared = { ...about, hash: expect.anything() };
      const created = {
        ...{ revision: 1, atMs: nowMs, caller: "maker", action: "create", ...shared, reason: "" },
        facts: createFacts(facts, facts.digest),
      };
      const ended = {
        ...{ revision: 2, atMs: nowMs + 1, caller: "ender", action: "revoke", ...shared, reason: "leaked" },
        facts: reasonFacts("leaked"),
      };
      for (const tokenId of [null, facts.id]) {
        const page = await rig.store.listChanges(aChangeQuery({ tokenId }));
        expect(page).toEqual({ changes: [ended, created], next: null });
        expect(page?.changes.map(({ hash }) => hex(hash))).toEqual([hex(revoked.change?.hash), hex(change.hash)]);
      }
    });

    it("answers with each change what its hash is made of, so that the chain can be made again from the answers", async () => {
      await revoke(await create({ name: "“Ünï” 💶", type: "secret", permissions: [], expiresAtMs: nowMs + 1000 }));
      await create({ livemode: false });
      const page = await rig.store.listChanges(aChangeQuery({}, { direction: "newer" }));
      let { hash } = emptyHead;
      for (const change of page?.changes ?? []) {
        hash = hashChange(hash, change, change.facts);
        expect(hex(change.hash)).toBe(hex(hash));
      }
      expect(hex(hash)).toBe(hex(rig.store.head().hash));
    });

    it("goes from the oldest to the newest as well, and from beyond a revision", async () => {
      const token = await create();
      await create();
      await revoke(token);
      const oldestFirst = { direction: "newer" } as const;
      expect(await revisionsIn(aChangeQuery({}, oldestFirst))).toEqual([1, 2, 3]);
      expect(await revisionsIn(aChangeQuery({ afterRevision: 1 }, oldestFirst))).toEqual([2, 3]);
      expect(await revisionsIn(aChangeQuery({ afterRevision: 1 }))).toEqual([3, 2]);
      expect(await revisionsIn(aChangeQuery({ afterRevision: 1, tokenId: token.id }))).toEqual([3]);
      expect(await rig.store.listChanges(aChangeQuery({ afterRevision: 3 }, oldestFirst))).toEqual({
        changes: [],
        next: null,
      });
      const first = await rig.store.listChanges(aChangeQuery({}, { ...oldestFirst, limit: 2 }));
      expect(first).toMatchObject({ changes: [{ revision: 1 }, { revision: 2 }], next: 2 });
      await create();
      expect(await revisionsIn(aChangeQuery({}, { ...oldestFirst, after: 2 }))).toEqual([3, 4]);
      const ofToken = aChangeQuery({ tokenId: token.id }, { ...oldestFirst, limit: 1 });
      expect(await rig.store.listChanges(ofToken)).toMatchObject({ changes: [{ revision: 1 }], next: 1 });
      expect(await rig.store.listChanges({ ...ofToken, after: 1 })).toMatchObject({
        changes: [{ revision: 3 }],
        next: null,
      });
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
      expect(await rig.store.listChanges(aChangeQuery({ tokenId: mintTokenId() }))).toBeNull();
    });

    it("starts beyond `after`, and has a next only when a change is left", async () => {
      const token = await create();
      await create();
      await revoke(token);
      expect(await rig.store.listChanges(aChangeQuery({}, { limit: 2 }))).toMatchObject({ next: 2 });
      expect(await rig.store.listChanges(aChangeQuery({}, { limit: 3 }))).toMatchObject({ next: null });
      expect(await revisionsIn(aChangeQuery({}, { limit: 2, after: 2 }))).toEqual([1]);
      const ofToken = aChangeQuery({ tokenId: token.id }, { limit: 1 });
      expect(await rig.store.listChanges(ofToken)).toMatchObject({ changes: [{ revision: 3 }], next: 3 });
      expect(await rig.store.listChanges({ ...ofToken, after: 3 })).toMatchObject({
        changes: [{ revision: 1 }],
        next: null,
      });
    });

    it("answers the whole journal page by page, also pages longer than what is read at once", async () => {
      await Promise.all(Array.from({ length: 700 }, () => create()));
      const revisions: number[] = [];
      for (let after: number | null = null; ; ) {
        const page: ChangePage | null = await rig.store.listChanges(aChangeQuery({}, { after, limit: 300 }));
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
        rig.store.listChanges(aChangeQuery({ account: "rare" }, { scanLimit: 10, after }));
      expect(await rare(null)).toEqual({ changes: [], next: 17 });
      expect(await rare(17)).toEqual({ changes: [], next: 7 });
      expect(await rare(7)).toMatchObject({ changes: [{ revision: 1 }], next: null });
      expect(await rare(12)).toEqual({ changes: [], next: 2 });
    });

    it("returns no more than maxBytes hold, but one change at least, and has a next when it ends for that", async () => {
      for (const name of ["ä".repeat(100), "b", "c"]) {
        await create({ name });
      }
      const all = (await rig.store.listChanges(aChangeQuery()))?.changes ?? [];
      const bytes = all.map(changeBytes);
      const maxBytes = (bytes[0] ?? 0) + (bytes[1] ?? 0);
      const page = (bound: number, after: number | null = null) =>
        rig.store.listChanges(aChangeQuery({}, { maxBytes: bound, after }));
      expect(await page(maxBytes)).toEqual({ changes: all.slice(0, 2), next: 2 });
      expect(await page(maxBytes - 1)).toEqual({ changes: all.slice(0, 1), next: 3 });
      expect(await page(1, 2)).toEqual({ changes: all.slice(2), next: null });
    });

    it("answers what a filter written in the words of the domain answers, page by page", async () => {
      const tokens = await populate(rig.store);
      const { changes: model } = (await rig.store.listChanges(aChangeQuery())) ?? { changes: [] };
      expect(model).toHaveLength(tokens.length + tokens.filter(({ revokedAtMs }) => revokedAtMs !== null).length);
      const ids = fc.constantFrom(...tokens.map(({ id }) => id));
      const filters: fc.Arbitrary<ChangeFilter> = fc.record({
        tokenId: fc.option(ids, { freq: 1 }),
        caller: fc.option(fc.constantFrom(...callers, "nobody")),
        action: fc.option(fc.constantFrom("create", "revoke")),
        account: fc.option(account),
        changedFromMs: fc.option(someTime),
        changedBeforeMs: fc.option(someTime),
        afterRevision: fc.option(fc.integer({ min: 1, max: model.length })),
      });
      const directions = fc.constantFrom("older" as const, "newer" as const);
      const limits = fc.integer({ min: 1, max: 40 });
      const scanLimits = fc.oneof(fc.integer({ min: 1, max: 300 }), fc.constant(10_000));
      await fc.assert(
        fc.asyncProperty(filters, directions, limits, scanLimits, async (filter, direction, limit, scanLimit) => {
          const found: Change[] = [];
          for (let after: number | null = null; ; ) {
            const page: ChangePage | null = await rig.store.listChanges(
              aChangeQuery(filter, { direction, limit, scanLimit, after }),
            );
            expect(page?.changes.length).toBeLessThanOrEqual(limit);
            found.push(...(page?.changes ?? []));
            after = page?.next ?? null;
            if (after === null) {
              break;
            }
          }
          const passing = model.filter((change) => passesChange(change, filter));
          expect(found).toEqual(direction === "older" ? passing : passing.toReversed());
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
      return (await rig.store.listAccounts(anAccountQuery(facts))).accounts.map(({ account: name }) => name);
    }

    it("answers an empty page without a next when there are no tokens", async () => {
      expect(await rig.store.listAccounts(anAccountQuery())).toEqual({ accounts: [], next: null });
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
        (await rig.store.listAccounts(anAccountQuery({ nowMs: atMs, prefix: "acct" }))).accounts;
      expect(await counts(nowMs + 9)).toEqual([
        { account: "acct_1", state: "active", active: 3, expired: 0, revoked: 1 },
      ]);
      expect(await counts(nowMs + 10)).toEqual([
        { account: "acct_1", state: "active", active: 2, expired: 1, revoked: 1 },
      ]);
      expect(await counts(nowMs + 20)).toEqual([
        { account: "acct_1", state: "active", active: 1, expired: 2, revoked: 1 },
      ]);
    });

    it("counts no state further than `countTo`, and each exactly up to there, whatever the others come to", async () => {
      for (let count = 0; count < 4; count += 1) {
        await create();
        await create({ expiresAtMs: nowMs + 1 });
        await create({ expiresAtMs: nowMs + 100 });
      }
      await revoke(await create());
      const counts = async (countTo: number) =>
        (await rig.store.listAccounts(anAccountQuery({ countTo, nowMs: nowMs + 1 }))).accounts[0];
      expect(await counts(3)).toEqual({ account: "acct_1", state: "active", active: 3, expired: 3, revoked: 1 });
      expect(await counts(7)).toEqual({ account: "acct_1", state: "active", active: 7, expired: 4, revoked: 1 });
      expect(await counts(9)).toEqual({ account: "acct_1", state: "active", active: 8, expired: 4, revoked: 1 });
    });

    it("answers only accounts that begin with the prefix, the prefix itself among them", async () => {
      for (const name of ["a", "ab", "ab_c", "abz", "ac", "b"]) {
        await create({ account: name });
      }
      expect(await namesIn({ prefix: "ab" })).toEqual(["ab", "ab_c", "abz"]);
      expect(await namesIn({ prefix: "ab_c1" })).toEqual([]);
      expect(await namesIn({ prefix: "B" })).toEqual([]);
      expect(await rig.store.listAccounts(anAccountQuery({ prefix: "ab", limit: 3 }))).toMatchObject({ next: null });
    });

    it("starts beyond `after`, and has a next only when an account is left", async () => {
      for (const name of ["a", "b", "c"]) {
        await create({ account: name });
      }
      expect(await rig.store.listAccounts(anAccountQuery({ limit: 2 }))).toMatchObject({ next: "b" });
      expect(await rig.store.listAccounts(anAccountQuery({ limit: 3 }))).toMatchObject({ next: null });
      expect(await namesIn({ limit: 2, after: "b" })).toEqual(["c"]);
      expect(await namesIn({ after: "aa" })).toEqual(["b", "c"]);
      expect(await namesIn({ after: "c" })).toEqual([]);
    });

    it("ends a page with the account that brings the tokens counted to `scanLimit`, and goes on after it", async () => {
      for (const name of ["a", "a", "b", "b", "c"]) {
        await create({ account: name });
      }
      expect(await rig.store.listAccounts(anAccountQuery({ scanLimit: 1 }))).toMatchObject({ next: "a" });
      expect(await rig.store.listAccounts(anAccountQuery({ scanLimit: 3 }))).toMatchObject({ next: "b" });
      expect(await rig.store.listAccounts(anAccountQuery({ scanLimit: 5 }))).toMatchObject({ next: null });
      expect(await namesIn({ scanLimit: 3, after: "a" })).toEqual(["b", "c"]);
    });
  });

  describe("head and isServing", () => {
    it("start with an empty journal that serves", () => {
      expect(rig.store.head()).toEqual(emptyHead);
      expect(rig.store.isServing()).toBe(true);
    });

    it("answer the newest change", async () => {
      const token = await create({}, at(nowMs));
      const outcome = revokedIn(await rig.store.revoke(token.id, "", at(nowMs + 1)));
      expect(rig.store.head()).toMatchObject({ revision: 2, atMs: nowMs + 1 });
      expect(hex(rig.store.head().hash)).toBe(hex(outcome.change?.hash));
    });
  });
}
