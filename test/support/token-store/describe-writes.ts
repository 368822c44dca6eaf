import { describe, expect, it } from "vitest";
import { createFacts, emptyHead, hashChange, reasonFacts } from "../../../src/authority/journal.ts";
import { mintTokenId } from "../../../src/authority/key.ts";
import { asUnused, type Token } from "../../../src/authority/token.ts";
import { lastUsePrecisionMs, type NewToken, requestMemoryMs } from "../../../src/authority/token-store.ts";
import {
  aChangeQuery,
  aNewToken,
  anyLimit,
  aRequest,
  at,
  byBearer,
  createdIn,
  everything,
  hex,
  nowMs,
  revokedIn,
  sealedKeyIn,
  usedAt,
} from "./builders.ts";
import type { StoreRig } from "./store-rig.ts";

/** The promises of TokenWrites. */
export function describeWrites(rig: StoreRig): void {
  const { create, revoke } = rig;

  describe("create", () => {
    it("keeps every fact of the token, and adds its creator, time and revision", async () => {
      const facts = aNewToken({ expiresAtMs: nowMs + 1, name: "ünï 💶 'quoted\"" });
      const { token } = createdIn(await rig.store.create(facts, null, anyLimit, at(nowMs, "the caller")));
      const { digest, ...kept } = facts;
      expect(token).toEqual({
        ...kept,
        createdBy: "the caller",
        createdAtMs: nowMs,
        revokedAtMs: null,
        revokeReason: "",
        createRevision: 1,
        issueRevision: 1,
        keyEndsAtMs: null,
        held: false,
        accountState: "active",
        revokeRevision: null,
      });
      expect(await rig.store.findByDigest(digest)).toEqual(token);
      expect(await rig.store.get(token.id)).toEqual(asUnused(token));
    });

    it("is seen by any read that starts after its answer", async () => {
      for (let round = 0; round < 50; round += 1) {
        const facts = aNewToken();
        await rig.store.create(facts, null, anyLimit, at(nowMs));
        expect(await rig.store.findByDigest(facts.digest)).toMatchObject({ id: facts.id });
      }
    });

    it("appends one row to the journal, whose hash continues the chain", async () => {
      const facts = aNewToken();
      const { change: head } = createdIn(await rig.store.create(facts, null, anyLimit, at(nowMs, "me")));
      const row = { revision: 1, atMs: nowMs, caller: "me", action: "create" as const, subject: { tokenId: facts.id } };
      expect(head.revision).toBe(1);
      expect(head.atMs).toBe(nowMs);
      expect(hex(head.hash)).toBe(hex(hashChange(emptyHead.hash, row, createFacts(facts, facts.digest))));
    });

    it("refuses a token from the millisecond it expires, and stores nothing", async () => {
      const facts = aNewToken({ expiresAtMs: nowMs });
      expect(await rig.store.create(facts, null, anyLimit, at(nowMs))).toEqual({ kind: "already_expired" });
      expect(await rig.store.findByDigest(facts.digest)).toBeNull();
      expect(rig.store.head().revision).toBe(0);
      expect(await rig.store.create(facts, null, anyLimit, at(nowMs - 1))).toMatchObject({ kind: "created" });
    });

    it("refuses an account that has as many live tokens as it may have, and stores nothing", async () => {
      await create();
      await create({ expiresAtMs: nowMs + 1000 });
      const facts = aNewToken();
      expect(await rig.store.create(facts, null, 2, at(nowMs))).toEqual({ kind: "limit_reached" });
      expect(await rig.store.findByDigest(facts.digest)).toBeNull();
      expect(rig.store.head().revision).toBe(2);
      expect(await rig.store.create(facts, null, 3, at(nowMs))).toMatchObject({ kind: "created" });
    });

    it("counts neither revoked nor expired tokens nor those of other accounts against the limit", async () => {
      await revoke(await create());
      await create({ expiresAtMs: nowMs + 1000 });
      await create({ account: "acct_2" });
      expect(await rig.store.create(aNewToken(), null, 1, at(nowMs + 999))).toEqual({ kind: "limit_reached" });
      expect(await rig.store.create(aNewToken(), null, 1, at(nowMs + 1000))).toMatchObject({ kind: "created" });
    });

    it("does not pass the limit when many ask at once", async () => {
      const outcomes = await Promise.all(
        Array.from({ length: 50 }, () => rig.store.create(aNewToken(), null, 7, at(nowMs))),
      );
      expect(outcomes.filter(({ kind }) => kind === "created")).toHaveLength(7);
      expect(outcomes.filter(({ kind }) => kind === "limit_reached")).toHaveLength(43);
    });

    it("does not pass the limit when many ask at once at several views of the store", async () => {
      const views = [rig.store, await rig.openView()];
      const outcomes = await Promise.all(
        Array.from({ length: 20 }, () => views.map((view) => view.create(aNewToken(), null, 7, at(nowMs)))).flat(),
      );
      expect(outcomes.filter(({ kind }) => kind === "created")).toHaveLength(7);
    });

    it("gives every change its own revision, without gaps, when many come at once", async () => {
      const earlier = await Promise.all(Array.from({ length: 20 }, () => create()));
      const changes = await Promise.all([
        ...Array.from({ length: 100 }, async () =>
          createdIn(await rig.store.create(aNewToken(), null, anyLimit, at(nowMs))),
        ),
        ...earlier.map(async (token) => revokedIn(await rig.store.revoke(token.id, "", at(nowMs)))),
      ]);
      const revisions = changes.map(({ change }) => change?.revision).toSorted((a = 0, b = 0) => a - b);
      expect(revisions).toEqual(Array.from({ length: 120 }, (_, index) => index + 21));
      expect(rig.store.head().revision).toBe(140);
    });

    it("leaves the calls beside it alone when its checks fail", async () => {
      const [first, expired, second, unknown, third] = await Promise.all([
        rig.store.create(aNewToken({ account: "a" }), null, anyLimit, at(nowMs)),
        rig.store.create(aNewToken({ expiresAtMs: nowMs - 1 }), null, anyLimit, at(nowMs)),
        rig.store.create(aNewToken({ account: "b" }), null, anyLimit, at(nowMs)),
        rig.store.revoke(mintTokenId(), "", at(nowMs)),
        rig.store.create(aNewToken({ account: "c" }), null, anyLimit, at(nowMs)),
      ]);
      expect([first.kind, expired.kind, second.kind, unknown, third.kind]).toEqual([
        "created",
        "already_expired",
        "created",
        null,
        "created",
      ]);
      expect(rig.store.head().revision).toBe(3);
    });

    it("leaves the calls beside it alone when it breaks, and leaves no trace itself", async () => {
      const old = aNewToken();
      await rig.store.create(old, null, anyLimit, at(nowMs));
      const twin = aNewToken({ digest: old.digest });
      const results = await Promise.allSettled([
        rig.store.create(aNewToken(), null, anyLimit, at(nowMs)),
        rig.store.create(twin, aRequest("1"), anyLimit, at(nowMs)),
        rig.store.create(aNewToken(), null, anyLimit, at(nowMs)),
      ]);
      expect(results.map(({ status }) => status)).toEqual(["fulfilled", "rejected", "fulfilled"]);
      expect(results[1]).toMatchObject({ reason: { reason: "UNDECIDED" } });
      expect(await rig.store.get(twin.id)).toBeNull();
      expect(rig.store.head().revision).toBe(3);
      expect(rig.store.isServing()).toBe(true);
    });
  });

  describe("create with a request id", () => {
    it("answers the same token and sealed key again, and creates nothing", async () => {
      const first = createdIn(await rig.store.create(aNewToken(), aRequest("1", "b", "sealed"), anyLimit, at(nowMs)));
      const again = await rig.store.create(aNewToken(), aRequest("1", "b", "other"), anyLimit, at(nowMs + 1));
      expect(again).toEqual({
        kind: "replayed",
        token: asUnused(first.token),
        issueRevision: 1,
        isOver: false,
        sealedKey: expect.anything(),
      });
      expect(sealedKeyIn(again)).toBe("sealed");
      expect(rig.store.head().revision).toBe(1);
    });

    it("creates one token when the same request comes many times at once", async () => {
      const outcomes = await Promise.all(
        Array.from({ length: 20 }, () => rig.store.create(aNewToken(), aRequest("1"), anyLimit, at(nowMs))),
      );
      expect(outcomes.map(({ kind }) => kind).toSorted()).toEqual(["created", ...Array(19).fill("replayed")]);
      expect(rig.store.head().revision).toBe(1);
    });

    it("answers the same token again at another view of the store", async () => {
      const view = await rig.openView();
      const first = createdIn(await rig.store.create(aNewToken(), aRequest("1"), anyLimit, at(nowMs)));
      const again = await view.create(aNewToken(), aRequest("1"), anyLimit, at(nowMs));
      expect(again).toMatchObject({ kind: "replayed", token: { id: first.token.id } });
      expect(sealedKeyIn(again)).toBe("sealed 1");
    });

    it("refuses another body", async () => {
      await rig.store.create(aNewToken(), aRequest("1", "a"), anyLimit, at(nowMs));
      expect(await rig.store.create(aNewToken(), aRequest("1", "b"), anyLimit, at(nowMs))).toEqual({
        kind: "request_id_reused",
      });
      expect(rig.store.head().revision).toBe(1);
    });

    it("remembers it for this caller and this account only", async () => {
      await rig.store.create(aNewToken(), aRequest("1"), anyLimit, at(nowMs, "a"));
      const other = [
        await rig.store.create(aNewToken(), aRequest("1"), anyLimit, at(nowMs, "b")),
        await rig.store.create(aNewToken({ account: "acct_2" }), aRequest("1"), anyLimit, at(nowMs, "a")),
        await rig.store.create(aNewToken(), aRequest("2"), anyLimit, at(nowMs, "a")),
      ];
      expect(other.map(({ kind }) => kind)).toEqual(["created", "created", "created"]);
    });

    it("remembers it for less than 24 hours, also when it is not forgotten yet", async () => {
      await rig.store.create(aNewToken(), aRequest("1", "a"), anyLimit, at(nowMs));
      const last = at(nowMs + requestMemoryMs - 1);
      expect(await rig.store.create(aNewToken(), aRequest("1", "a"), anyLimit, last)).toMatchObject({
        kind: "replayed",
      });
      expect(await rig.store.create(aNewToken(), aRequest("1", "b"), anyLimit, last)).toMatchObject({
        kind: "request_id_reused",
      });
      const later = at(nowMs + requestMemoryMs);
      const second = createdIn(await rig.store.create(aNewToken(), aRequest("1", "b"), anyLimit, later));
      const replay = await rig.store.create(aNewToken(), aRequest("1", "b"), anyLimit, later);
      expect(replay).toMatchObject({ kind: "replayed", token: { id: second.token.id } });
    });

    it("answers a replay before it looks at expiry and limit", async () => {
      const request = aRequest("1");
      await rig.store.create(aNewToken({ expiresAtMs: nowMs + 10 }), request, 1, at(nowMs));
      const again = await rig.store.create(aNewToken({ expiresAtMs: nowMs + 10 }), request, 0, at(nowMs + 10));
      expect(again).toMatchObject({ kind: "replayed" });
    });

    it("looks at expiry before it looks at the limit", async () => {
      expect(await rig.store.create(aNewToken({ expiresAtMs: nowMs }), null, 0, at(nowMs))).toEqual({
        kind: "already_expired",
      });
    });

    it("answers the token as it is now, and no sealed key once it is revoked", async () => {
      const request = aRequest("1");
      const { token } = createdIn(await rig.store.create(aNewToken(), request, anyLimit, at(nowMs)));
      await rig.store.recordUses([{ issueRevision: token.issueRevision, usedAtMs: nowMs + 5 }]);
      await revoke(token, nowMs + 7);
      expect(await rig.store.create(aNewToken(), request, anyLimit, at(nowMs + 9))).toEqual({
        kind: "replayed",
        token: {
          ...usedAt(token, nowMs + 5),
          revokedAtMs: nowMs + 7,
          revokeReason: "leaked",
          revokeRevision: 2,
        },
        issueRevision: 1,
        isOver: true,
        sealedKey: null,
      });
    });

    it("remembers nothing of a request that was refused", async () => {
      expect(await rig.store.create(aNewToken(), aRequest("1", "a"), 0, at(nowMs))).toMatchObject({
        kind: "limit_reached",
      });
      expect(await rig.store.create(aNewToken(), aRequest("1", "b"), 1, at(nowMs))).toMatchObject({ kind: "created" });
    });
  });

  describe("forgetRequests", () => {
    it("forgets those of 24 hours before or earlier, and no others", async () => {
      await rig.store.create(aNewToken(), aRequest("1"), anyLimit, at(nowMs));
      await rig.store.create(aNewToken(), aRequest("2"), anyLimit, at(nowMs + 1));
      await rig.store.forgetRequests(nowMs + requestMemoryMs);
      // Asked as of before: only what is forgotten is not answered.
      expect(await rig.store.create(aNewToken(), aRequest("1"), anyLimit, at(nowMs + 2))).toMatchObject({
        kind: "created",
      });
      expect(await rig.store.create(aNewToken(), aRequest("2"), anyLimit, at(nowMs + 2))).toMatchObject({
        kind: "replayed",
      });
    });

    it("forgets however many there are", async () => {
      const ids = Array.from({ length: 1234 }, (_, index) => String(index));
      await Promise.all(ids.map((id) => rig.store.create(aNewToken(), aRequest(id), anyLimit, at(nowMs))));
      await rig.store.forgetRequests(nowMs + requestMemoryMs);
      const again = await Promise.all(
        ids.map((id) => rig.store.create(aNewToken(), aRequest(id, "other"), anyLimit, at(nowMs))),
      );
      expect(new Set(again.map(({ kind }) => kind))).toEqual(new Set(["created"]));
    });
  });

  describe("revokeMatching", () => {
    const ofAccount = (name: string) => ({ ...everything, account: name });

    it("revokes those that pass and were not revoked, in the order asked for, with a row of the journal each", async () => {
      const [first, other, third, ended] = [
        ...[await create({ account: "a" }), await create({ account: "b" })],
        ...[await create({ account: "a" }), await create({ account: "a" })],
      ];
      await revoke(ended as Token);
      const revisions = [third, other, first, ended].map((token) => token?.createRevision ?? 0);
      const context = at(nowMs + 5, "me");
      const revoked = await rig.store.revokeMatching([...revisions, 999], ofAccount("a"), "leaked", context);
      expect(revoked).toMatchObject([
        { subject: { tokenId: third?.id }, revision: 6, atMs: nowMs + 5, caller: "me", reason: "leaked" },
        { subject: { tokenId: first?.id }, revision: 7, atMs: nowMs + 5, caller: "me", reason: "leaked" },
      ]);
      expect(hex(rig.store.head().hash)).toBe(hex(revoked[1]?.hash));
      const page = await rig.store.listChanges(aChangeQuery({ afterRevision: 5 }));
      expect(page?.changes).toMatchObject([
        { subject: { tokenId: first?.id }, caller: "me", reason: "leaked", facts: reasonFacts("leaked") },
        { subject: { tokenId: third?.id }, caller: "me", reason: "leaked", facts: reasonFacts("leaked") },
      ]);
      expect(await rig.store.get(first?.id ?? "")).toMatchObject({ revokedAtMs: nowMs + 5, revokeReason: "leaked" });
      expect(await rig.store.get(other?.id ?? "")).toMatchObject({ revokedAtMs: null });
      expect(await rig.store.get(ended?.id ?? "")).toMatchObject({ revokeRevision: 5 });
    });

    it("asks the filter at the time of the change", async () => {
      const token = await create({ expiresAtMs: nowMs + 10 });
      const active = { ...everything, states: ["active" as const] };
      expect(await rig.store.revokeMatching([token.createRevision], active, "", at(nowMs + 10))).toEqual([]);
      expect(await rig.store.revokeMatching([token.createRevision], active, "", at(nowMs + 10))).toEqual([]);
      const expired = { ...everything, states: ["expired" as const] };
      expect(await rig.store.revokeMatching([token.createRevision], expired, "", at(nowMs + 10))).toHaveLength(1);
    });

    it("leaves no sealed key that is answered again", async () => {
      const { token } = createdIn(await rig.store.create(aNewToken(), aRequest("1"), anyLimit, at(nowMs)));
      await rig.store.revokeMatching([token.createRevision], everything, "", at(nowMs));
      const replay = await rig.store.create(aNewToken(), aRequest("1"), anyLimit, at(nowMs));
      expect(replay).toMatchObject({ kind: "replayed", sealedKey: null, token: { revokedAtMs: nowMs } });
    });

    it("is seen by any read that starts after its answer, at every view of the store", async () => {
      const view = await rig.openView();
      for (let round = 0; round < 50; round += 1) {
        const facts = Array.from({ length: 3 }, () => aNewToken());
        const made = await Promise.all(facts.map((one) => rig.store.create(one, null, anyLimit, at(nowMs))));
        const revisions = made.map((outcome) => createdIn(outcome).token.createRevision);
        await rig.store.revokeMatching(revisions, everything, "", at(nowMs));
        for (const { digest } of facts) {
          expect(await view.findByDigest(digest)).toMatchObject({ revokedAtMs: nowMs });
        }
      }
    });
  });

  describe("revoke", () => {
    it("answers null, and changes nothing, when no token has this id", async () => {
      expect(await rig.store.revoke(mintTokenId(), "", at(nowMs))).toBeNull();
      expect(rig.store.head()).toEqual(emptyHead);
    });

    it("keeps time, reason and revision, and appends one row to the journal", async () => {
      const facts = aNewToken();
      const before = createdIn(await rig.store.create(facts, null, anyLimit, at(nowMs)));
      const outcome = revokedIn(await rig.store.revoke(facts.id, "leaked", at(nowMs + 5, "me")));
      const revoked = { ...before.token, revokedAtMs: nowMs + 5, revokeReason: "leaked", revokeRevision: 2 };
      const row = {
        revision: 2,
        atMs: nowMs + 5,
        caller: "me",
        action: "revoke" as const,
        subject: { tokenId: facts.id },
      };
      expect(outcome.token).toEqual(asUnused(revoked));
      expect(outcome.change).toMatchObject({ revision: 2, atMs: nowMs + 5 });
      expect(hex(outcome.change?.hash)).toBe(hex(hashChange(before.change.hash, row, reasonFacts("leaked"))));
      expect(await rig.store.findByDigest(facts.digest)).toEqual(revoked);
      expect(await rig.store.get(facts.id)).toEqual(asUnused(revoked));
    });

    it("again changes nothing, appends nothing, and answers the first time, reason and revision", async () => {
      const token = await create();
      const first = revokedIn(await rig.store.revoke(token.id, "first", at(nowMs + 1)));
      const again = await rig.store.revoke(token.id, "second", at(nowMs + 2));
      expect(again).toEqual({ ...first, change: null });
      expect(await rig.store.get(token.id)).toEqual(first.token);
      expect(rig.store.head().revision).toBe(2);
    });

    it("happens once when many ask at once", async () => {
      const token = await create();
      const outcomes = await Promise.all(
        Array.from({ length: 20 }, async (_, index) =>
          revokedIn(await rig.store.revoke(token.id, `reason ${index}`, at(nowMs + index))),
        ),
      );
      expect(outcomes.filter(({ change }) => change !== null)).toHaveLength(1);
      expect(new Set(outcomes.map((outcome) => outcome.token.revokeReason)).size).toBe(1);
      expect(rig.store.head().revision).toBe(2);
    });

    it("is seen by any read that starts after its answer", async () => {
      for (let round = 0; round < 50; round += 1) {
        const facts = aNewToken();
        await rig.store.create(facts, null, anyLimit, at(nowMs));
        await rig.store.revoke(facts.id, "", at(nowMs));
        expect(await rig.store.findByDigest(facts.digest)).toMatchObject({ revokedAtMs: nowMs });
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
      expect(await rig.store.create(child, null, anyLimit, context)).toEqual(refused("TOKEN_REVOKED"));
      expect(await rig.store.revoke(other.id, "", context)).toEqual(refused("TOKEN_REVOKED"));
      expect(await rig.store.findByDigest(child.digest)).toBeNull();
      expect(await rig.store.get(other.id)).toMatchObject({ revokedAtMs: null });
      expect(rig.store.head().revision).toBe(3);
    });

    it("is refused when it comes together with the revocation of the maker, and after it", async () => {
      const [maker, other] = [await create(mayWrite), await create(given)];
      const ask = () => rig.store.create(aNewToken(given), null, anyLimit, byBearer(maker, nowMs));
      const outcomes = await Promise.all([
        ask(),
        rig.store.revoke(maker.id, "", at(nowMs)),
        ...Array.from({ length: 20 }, ask),
        rig.store.revoke(other.id, "", byBearer(maker, nowMs)),
      ]);
      const [before, ...others] = outcomes.map((one) => one?.kind);
      expect(others).toEqual(["revoked", ...Array.from({ length: 21 }, () => "maker_refused")]);
      // Of changes that wait together, the store may take the revocation first.
      expect(["created", "maker_refused"]).toContain(before);
      expect(rig.store.head().revision).toBe(before === "created" ? 4 : 3);
    });

    it("is refused from the millisecond the maker expires, by the time that the change would have", async () => {
      const maker = await create({ ...mayWrite, expiresAtMs: nowMs + 10 });
      const [first, second, third] = [0, 1, 2].map(() => aNewToken({ ...given, expiresAtMs: nowMs + 10 }));
      const ask = (child = aNewToken(), atMs = nowMs) => rig.store.create(child, null, anyLimit, byBearer(maker, atMs));
      expect(await ask(first, nowMs + 9)).toMatchObject({ kind: "created" });
      expect(await ask(second, nowMs + 10)).toEqual(refused("TOKEN_EXPIRED"));
      await create({}, at(nowMs + 10));
      expect(await ask(third, nowMs + 9)).toEqual(refused("TOKEN_EXPIRED"));
      expect(await rig.store.revoke(first?.id ?? "", "", byBearer(maker, nowMs + 9))).toEqual(refused("TOKEN_EXPIRED"));
    });

    it("shows no key again once the maker is revoked", async () => {
      const maker = await create(mayWrite);
      const ask = () => rig.store.create(aNewToken(given), aRequest("1"), anyLimit, byBearer(maker, nowMs));
      expect(await ask()).toMatchObject({ kind: "created" });
      expect(sealedKeyIn(await ask())).toBe("sealed 1");
      await revoke(maker);
      expect(await ask()).toEqual(refused("TOKEN_REVOKED"));
    });

    it("is refused when no token is the maker", async () => {
      const ask = await rig.store.create(
        aNewToken(),
        null,
        anyLimit,
        byBearer({ id: mintTokenId(), issueRevision: 1 }, nowMs),
      );
      expect(ask).toEqual(refused("KEY_UNKNOWN"));
    });

    it("is refused when the maker does not cover it", async () => {
      const maker = await create({ ...mayWrite, expiresAtMs: nowMs + 10 });
      const secret = await create({ type: "secret", permissions: [] });
      const reader = await create({ permissions: ["tokens:read", "charges:write"] });
      const published = await create({ type: "publishable", permissions: [] });
      const whole = { ...given, expiresAtMs: nowMs + 10 };
      const made = async (by: Token, facts: Partial<NewToken>) =>
        (await rig.store.create(aNewToken(facts), null, anyLimit, byBearer(by, nowMs))).kind;
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
      const revokedBy = async (by: Token, { id }: Token) => (await rig.store.revoke(id, "", byBearer(by, nowMs)))?.kind;
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

    it("is its own token's revocation, whatever its permissions, unless the key is public", async () => {
      const secret = await create({ type: "secret", permissions: [] });
      const restricted = await create({ permissions: ["charges:read"] });
      const published = await create({ type: "publishable", permissions: [] });
      const endSelf = (by: Token) => rig.store.revoke(by.id, "done with it", byBearer(by, nowMs));
      for (const by of [secret, restricted]) {
        expect(await endSelf(by)).toMatchObject({ kind: "revoked", token: { revokeReason: "done with it" } });
        expect(await endSelf(by)).toEqual(refused("TOKEN_REVOKED"));
      }
      expect(await endSelf(published)).toEqual(refused("INSUFFICIENT_PERMISSIONS"));
      const expired = await create({ expiresAtMs: nowMs + 1 });
      expect(await rig.store.revoke(expired.id, "", byBearer(expired, nowMs + 1))).toEqual(refused("TOKEN_EXPIRED"));
      expect(rig.store.head().revision).toBe(6);
    });
  });

  describe("recordUses", () => {
    async function lastUseOf(token: Token): Promise<number | null | undefined> {
      return (await rig.store.get(token.id))?.lastUsedAtMs;
    }

    it("keeps the first use, and moves it forward by 60 seconds or more only", async () => {
      const token = await create();
      const { issueRevision } = token;
      expect(await lastUseOf(token)).toBeNull();
      await rig.store.recordUses([{ issueRevision, usedAtMs: nowMs }]);
      expect(await lastUseOf(token)).toBe(nowMs);
      await rig.store.recordUses([{ issueRevision, usedAtMs: nowMs + lastUsePrecisionMs - 1 }]);
      expect(await lastUseOf(token)).toBe(nowMs);
      await rig.store.recordUses([{ issueRevision, usedAtMs: nowMs + lastUsePrecisionMs }]);
      expect(await lastUseOf(token)).toBe(nowMs + lastUsePrecisionMs);
      await rig.store.recordUses([{ issueRevision, usedAtMs: nowMs }]);
      expect(await lastUseOf(token)).toBe(nowMs + lastUsePrecisionMs);
    });

    it("moves 1000 tokens at once, and refuses more", async () => {
      const tokens = await Promise.all(Array.from({ length: 1001 }, () => create()));
      const uses = tokens.map(({ issueRevision }) => ({ issueRevision, usedAtMs: nowMs + issueRevision }));
      await expect(rig.store.recordUses(uses)).rejects.toMatchObject({ reason: "UNDECIDED" });
      await rig.store.recordUses(uses.slice(0, 1000));
      for (const token of tokens.slice(0, 1000)) {
        expect(await lastUseOf(token)).toBe(nowMs + token.issueRevision);
      }
    });

    it("appends nothing to the journal", async () => {
      const { issueRevision } = await create();
      const before = rig.store.head();
      await rig.store.recordUses([{ issueRevision, usedAtMs: nowMs }]);
      expect(rig.store.head()).toEqual(before);
    });
  });

  describe("the times of changes", () => {
    it("never fall, at whichever view of the store they are asked for", async () => {
      const view = await rig.openView();
      await create({}, at(nowMs + 2));
      const { token } = createdIn(await view.create(aNewToken(), null, anyLimit, at(nowMs)));
      expect(token.createdAtMs).toBe(nowMs + 2);
    });

    it("never fall, whatever the order in which threads ask", async () => {
      const first = await create({}, at(nowMs + 2));
      const second = await create({}, at(nowMs));
      expect([second.createdAtMs, rig.store.head().atMs]).toEqual([nowMs + 2, nowMs + 2]);
      expect((await revoke(first, nowMs + 1)).revokedAtMs).toBe(nowMs + 2);
      expect((await revoke(second, nowMs + 3)).revokedAtMs).toBe(nowMs + 3);
    });
  });
}
