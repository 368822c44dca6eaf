import { randomBytes } from "node:crypto";
import { describe, expect, it } from "vitest";
import { hashChange, reasonFacts } from "../../../src/authority/journal.ts";
import { mintTokenId } from "../../../src/authority/key.ts";
import type { AccountState, StoredToken } from "../../../src/authority/token.ts";
import type { HoldOutcome } from "../../../src/authority/token-store.ts";
import { aNewToken, anyLimit, aQuery, aRequest, at, byBearer, createdIn, everything, hex, nowMs } from "./builders.ts";
import type { StoreRig } from "./store-rig.ts";

const counted = { countTo: 10_000, nowMs };
const accountQuery = { prefix: "", after: null, limit: 1000, scanLimit: 100_000, ...counted };

/** The promises of TokenWrites about what is held or closed, and of reads about what is so. */
export function describeHolds(rig: StoreRig): void {
  const { create, revoke } = rig;
  const hold = (subject: Parameters<typeof rig.store.setHold>[0], held = true, reason = "fraud?") =>
    rig.store.setHold(subject, held, reason, at(nowMs, "the caller"));
  const close = (account: string) => rig.store.closeAccount(account, "gone", at(nowMs, "the caller"));

  async function stateOf(account: string): Promise<AccountState> {
    return (await rig.store.getAccount(account, counted)).state;
  }

  /** What each read says of the token, which must be alike. */
  async function readsOf(digest: Uint8Array, id: string) {
    const { tokens } = await rig.store.list(aQuery());
    const reads = [await rig.store.findByDigest(digest), await rig.store.get(id), tokens.find((one) => one.id === id)];
    const said = reads.map((token) => token && [token.held, token.accountState]);
    expect(said).toEqual([said[0], said[0], said[0]]);
    return said[0];
  }

  describe("setHold", () => {
    it("holds a token alone, in every read from its answer on, and lifts the hold again", async () => {
      const [facts, other] = [aNewToken(), aNewToken()];
      await create(facts);
      await create(other);
      expect(await readsOf(facts.digest, facts.id)).toEqual([false, "active"]);
      expect(await hold({ tokenId: facts.id })).toMatchObject({ kind: "set", revision: 3 });
      expect(await readsOf(facts.digest, facts.id)).toEqual([true, "active"]);
      expect(await readsOf(other.digest, other.id)).toEqual([false, "active"]);
      expect(await hold({ tokenId: facts.id }, false)).toMatchObject({ kind: "set", revision: 4 });
      expect(await readsOf(facts.digest, facts.id)).toEqual([false, "active"]);
    });

    it("holds every token of an account in one change, also those created later, and no other account's", async () => {
      const [first, second, other] = [aNewToken(), aNewToken(), aNewToken({ account: "acct_2" })];
      await create(first);
      await create(other);
      expect(await hold({ account: "acct_1" })).toMatchObject({ kind: "set", revision: 3 });
      expect(rig.store.head().revision).toBe(3);
      expect(await create(second)).toMatchObject({ held: false, accountState: "held" });
      expect(await readsOf(first.digest, first.id)).toEqual([false, "held"]);
      expect(await readsOf(second.digest, second.id)).toEqual([false, "held"]);
      expect(await readsOf(other.digest, other.id)).toEqual([false, "active"]);
      await hold({ account: "acct_1" }, false);
      expect(await readsOf(first.digest, first.id)).toEqual([false, "active"]);
      expect(await create()).toMatchObject({ accountState: "active" });
    });

    it("keeps the hold of a token and that of its account apart: each is lifted by itself", async () => {
      const facts = aNewToken();
      await create(facts);
      await hold({ tokenId: facts.id });
      await hold({ account: "acct_1" });
      expect(await readsOf(facts.digest, facts.id)).toEqual([true, "held"]);
      await hold({ account: "acct_1" }, false);
      expect(await readsOf(facts.digest, facts.id)).toEqual([true, "active"]);
      await hold({ account: "acct_1" });
      await hold({ tokenId: facts.id }, false);
      expect(await readsOf(facts.digest, facts.id)).toEqual([false, "held"]);
    });

    it("gives back nothing that was revoked meanwhile, and holds what is revoked as well", async () => {
      const facts = aNewToken();
      const token = await create(facts);
      await hold({ tokenId: token.id });
      await revoke(token);
      expect(await rig.store.findByDigest(facts.digest)).toMatchObject({ held: true, revokeRevision: 3 });
      await hold({ tokenId: token.id }, false);
      expect(await rig.store.findByDigest(facts.digest)).toMatchObject({ held: false, revokeRevision: 3 });
      expect(await hold({ tokenId: token.id })).toMatchObject({ kind: "set", revision: 5 });
    });

    it("changes nothing where it is so already, and answers the change that made it so", async () => {
      const { id } = await create();
      for (const [subject, first] of [
        [{ tokenId: id }, 2],
        [{ account: "acct_1" }, 4],
      ] as const) {
        expect(await hold(subject, false)).toEqual({ kind: "set", revision: 0, change: null });
        expect(await hold(subject)).toMatchObject({ kind: "set", revision: first });
        expect(await hold(subject, true, "another")).toEqual({ kind: "set", revision: first, change: null });
        expect(await hold(subject, false)).toMatchObject({ kind: "set", revision: first + 1 });
        expect(await hold(subject, false)).toEqual({ kind: "set", revision: first + 1, change: null });
      }
      expect(rig.store.head().revision).toBe(5);
    });

    it("answers the newest release of what was held twice", async () => {
      const { id } = await create();
      for (const subject of [{ tokenId: id }, { account: "acct_1" }]) {
        for (const held of [true, false, true, false]) {
          await hold(subject, held);
        }
        expect(await hold(subject, false)).toMatchObject({ revision: rig.store.head().revision, change: null });
      }
    });

    it("appends one row to the journal, whose hash continues the chain and covers the reason", async () => {
      const { id } = await create();
      for (const [subject, held, action] of [
        [{ tokenId: id }, true, "hold"],
        [{ tokenId: id }, false, "resume"],
        [{ account: "acct_1" }, true, "hold"],
        [{ account: "acct_1" }, false, "resume"],
      ] as const) {
        const before = rig.store.head();
        const { change } = setIn(await hold(subject, held, "“why”"));
        const row = { revision: before.revision + 1, atMs: nowMs, caller: "the caller", action, subject };
        expect(change).toMatchObject({ ...row, reason: "“why”" });
        expect(hex(change?.hash)).toBe(hex(hashChange(before.hash, row, reasonFacts("“why”"))));
        expect(hex(rig.store.head().hash)).toBe(hex(change?.hash));
      }
    });

    it("answers null for an id that no token has, and holds an account that has no tokens", async () => {
      expect(await hold({ tokenId: mintTokenId() })).toBeNull();
      expect(await hold({ account: "nobody" })).toMatchObject({ kind: "set", revision: 1 });
      expect(await stateOf("nobody")).toBe("held");
    });

    it("lets a held key make no change: its bearer is refused in the step that would make it", async () => {
      const maker = await create({ type: "secret", permissions: [] });
      const other = await create();
      const asked = async () => [
        await rig.store.create(aNewToken(), null, anyLimit, byBearer(maker, nowMs)),
        await rig.store.revoke(other.id, "", byBearer(maker, nowMs)),
      ];
      const refused = (reason: string) => [
        { kind: "maker_refused", reason },
        { kind: "maker_refused", reason },
      ];
      await hold({ tokenId: maker.id });
      expect(await asked()).toEqual(refused("TOKEN_HELD"));
      await hold({ tokenId: maker.id }, false);
      await hold({ account: "acct_1" });
      expect(await asked()).toEqual(refused("ACCOUNT_HELD"));
      await close("acct_1");
      expect(await asked()).toEqual(refused("ACCOUNT_CLOSED"));
      expect(await rig.store.get(other.id)).toMatchObject({ revokedAtMs: null });
    });

    it("holds both keys of a token in a rotation, which may be begun and ended meanwhile, but not in a closed account", async () => {
      const facts = aNewToken();
      const { id } = await create(facts);
      const start = rig.store.freshness.mark();
      await hold({ tokenId: id });
      const key = { digest: randomBytes(32), keyHint: "aB3z" };
      expect(await rig.store.rotateKey(id, key, 60_000, null, at(nowMs))).toMatchObject({ kind: "rotated" });
      await hold({ tokenId: id }, false);
      await hold({ account: "acct_1" });
      for (const digest of [facts.digest, key.digest]) {
        expect(await rig.store.findByDigest(digest)).toMatchObject({ held: false, accountState: "held" });
      }
      await hold({ tokenId: id });
      const { changes } = rig.store.freshness.changesSince(start, 10);
      expect(new Set(changes?.at(-1)?.digests?.map(hex))).toEqual(new Set([facts.digest, key.digest].map(hex)));
      for (const digest of [facts.digest, key.digest]) {
        expect(await rig.store.findByDigest(digest)).toMatchObject({ held: true, accountState: "held" });
      }
      expect(await rig.store.endRotation(id, { kind: "cut" }, at(nowMs + 1))).toMatchObject({ kind: "ended" });
      await close("acct_1");
      const another = { digest: randomBytes(32), keyHint: "aB3z" };
      const { revision } = rig.store.head();
      expect(await rig.store.rotateKey(id, another, 60_000, null, at(nowMs))).toEqual({ kind: "account_closed" });
      expect(await rig.store.findByDigest(another.digest)).toBeNull();
      expect(rig.store.head().revision).toBe(revision);
    });

    it("tells all views of the store: of a token its keys, and of an account that every key may be another's", async () => {
      const views = [rig.store, await rig.openView()];
      const facts = aNewToken();
      await create(facts);
      await Promise.all(views.map(({ freshness }) => expect.poll(() => freshness.mark().revision).toBe(1)));
      const marks = views.map(({ freshness }) => freshness.mark());
      await hold({ tokenId: facts.id });
      await hold({ account: "acct_1" });
      await hold({ account: "acct_1" }, false);
      await close("acct_1");
      await rig.store.freshness.settle(rig.store.head().revision);
      for (const [index, { freshness }] of views.entries()) {
        const mark = marks[index] ?? freshness.mark();
        expect(freshness.isFresh(mark)).toBe(false);
        expect(
          freshness
            .changesSince(mark, 10)
            .changes?.map(({ action, account, digests }) => [action, account, digests?.map(hex) ?? null]),
        ).toEqual([
          ["hold", null, [hex(facts.digest)]],
          ["hold", "acct_1", null],
          ["resume", "acct_1", null],
          ["close", "acct_1", null],
        ]);
      }
    });
  });

  describe("closeAccount", () => {
    it("closes the account for good, whatever it was, and answers the first revision again", async () => {
      const facts = aNewToken();
      await create(facts);
      await hold({ account: "acct_1" });
      const { change } = await close("acct_1");
      expect(change).toMatchObject({ revision: 3, action: "close", subject: { account: "acct_1" }, reason: "gone" });
      expect(await rig.store.closeAccount("acct_1", "again", at(nowMs + 1))).toEqual({
        kind: "set",
        revision: 3,
        change: null,
      });
      expect(await readsOf(facts.digest, facts.id)).toEqual([false, "closed"]);
      expect(await close("empty")).toMatchObject({ revision: 4 });
      expect([await stateOf("acct_1"), await stateOf("empty"), await stateOf("acct_2")]).toEqual([
        "closed",
        "closed",
        "active",
      ]);
    });

    it("leaves the account neither to be held nor given back, and its tokens as they are", async () => {
      const token = await create();
      await close("acct_1");
      expect(await hold({ account: "acct_1" })).toEqual({ kind: "account_closed" });
      expect(await hold({ account: "acct_1" }, false)).toEqual({ kind: "account_closed" });
      expect(await hold({ tokenId: token.id })).toMatchObject({ kind: "set" });
      await revoke(token);
      expect(await rig.store.get(token.id)).toMatchObject({ held: true, accountState: "closed", revokeRevision: 4 });
    });

    it("lets nothing be created from its answer on, nor a key be shown again", async () => {
      await rig.store.create(aNewToken(), aRequest("1"), anyLimit, at(nowMs));
      await close("acct_1");
      expect(await rig.store.create(aNewToken(), null, anyLimit, at(nowMs))).toEqual({ kind: "account_closed" });
      expect(await rig.store.create(aNewToken(), aRequest("1"), anyLimit, at(nowMs))).toEqual({
        kind: "account_closed",
      });
      expect(rig.store.head().revision).toBe(2);
      expect(await create({ account: "acct_2" })).toMatchObject({ accountState: "active" });
    });

    it("beside 64 that create: each comes before it, or is refused, and none of their keys is good", async () => {
      const views = [rig.store, await rig.openView()] as const;
      for (let round = 0; round < 10; round += 1) {
        const account = `acct_${round}`;
        const facts = Array.from({ length: 64 }, () => aNewToken({ account }));
        const [closed, ...outcomes] = await Promise.all([
          views[1].closeAccount(account, "", at(nowMs)),
          ...facts.map((one, index) => (index % 2 === 0 ? views[0] : views[1]).create(one, null, anyLimit, at(nowMs))),
        ]);
        for (const [index, outcome] of outcomes.entries()) {
          const found = await rig.store.findByDigest(facts[index]?.digest ?? new Uint8Array(32));
          if (outcome.kind === "created") {
            expect(outcome.change.revision).toBeLessThan(closed.revision);
            expect(found).toMatchObject({ accountState: "closed" } satisfies Partial<StoredToken>);
          } else {
            expect(outcome.kind).toBe("account_closed");
            expect(found).toBeNull();
          }
        }
        expect(await rig.store.create(aNewToken({ account }), null, anyLimit, at(nowMs))).toEqual({
          kind: "account_closed",
        });
      }
    });
  });

  describe("getAccount and listAccounts", () => {
    it("tell the state of an account and count its tokens as if it had none", async () => {
      const token = await create();
      await create({ expiresAtMs: nowMs + 1 });
      await revoke(await create());
      await hold({ tokenId: token.id });
      const counts = { account: "acct_1", active: 2, expired: 0, revoked: 1 };
      expect(await rig.store.getAccount("acct_1", counted)).toEqual({ ...counts, state: "active" });
      await hold({ account: "acct_1" });
      expect(await rig.store.getAccount("acct_1", counted)).toEqual({ ...counts, state: "held" });
      await close("acct_1");
      expect(await rig.store.getAccount("acct_1", counted)).toEqual({ ...counts, state: "closed" });
      expect((await rig.store.listAccounts(accountQuery)).accounts).toEqual([{ ...counts, state: "closed" }]);
      const nobody = { account: "nobody", active: 0, expired: 0, revoked: 0, state: "active" };
      expect(await rig.store.getAccount("nobody", counted)).toEqual(nobody);
    });

    it("list finds the tokens that are held, by a hold of their own or of their account, and those that are not", async () => {
      const free = await create();
      const held = await create();
      const ofHeld = await create({ account: "acct_2" });
      await hold({ tokenId: held.id });
      await hold({ account: "acct_2" });
      const idsOf = async (isHeld: boolean) =>
        (await rig.store.list(aQuery({ filter: { ...everything, held: isHeld } }))).tokens.map(({ id }) => id);
      expect(await idsOf(true)).toEqual([ofHeld.id, held.id]);
      expect(await idsOf(false)).toEqual([free.id]);
    });

    it("list held and closed accounts without tokens among the others, in the order of their bytes", async () => {
      for (const account of ["b", "d", "f"]) {
        await create({ account });
      }
      for (const account of ["a", "b", "c", "g"]) {
        await hold({ account });
      }
      await close("e");
      const states = async (facts: object = {}) =>
        (await rig.store.listAccounts({ ...accountQuery, ...facts })).accounts.map(
          ({ account, state, active }) => `${account} ${state} ${active}`,
        );
      const all = ["a held 0", "b held 1", "c held 0", "d active 1", "e closed 0", "f active 1", "g held 0"];
      expect(await states()).toEqual(all);
      expect(await states({ after: "b", limit: 3 })).toEqual(all.slice(2, 5));
      expect(await states({ prefix: "e" })).toEqual(["e closed 0"]);
      expect(await rig.store.listAccounts({ ...accountQuery, limit: 6 })).toMatchObject({ next: "f" });
      await hold({ account: "a" }, false);
      expect(await states()).toEqual(all.slice(1));
    });
  });

  it("holds and closures are there at the next opening", async () => {
    const facts = aNewToken();
    const { token } = createdIn(await rig.store.create(facts, null, anyLimit, at(nowMs)));
    await hold({ tokenId: token.id });
    await hold({ account: "acct_1" });
    await close("acct_2");
    await rig.reopen();
    expect(await readsOf(facts.digest, facts.id)).toEqual([true, "held"]);
    expect(await rig.store.create(aNewToken({ account: "acct_2" }), null, anyLimit, at(nowMs))).toEqual({
      kind: "account_closed",
    });
    expect(await hold({ tokenId: token.id })).toMatchObject({ revision: 2, change: null });
  });
}

function setIn(outcome: HoldOutcome | null): Extract<HoldOutcome, { kind: "set" }> {
  if (outcome?.kind !== "set") {
    throw new Error(`not set: ${outcome?.kind}`);
  }
  return outcome;
}
