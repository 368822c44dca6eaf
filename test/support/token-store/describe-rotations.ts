import { createHash, randomBytes } from "node:crypto";
import { describe, expect, it } from "vitest";
import { hashChange, keyFacts } from "../../../src/authority/journal.ts";
import { mintTokenId } from "../../../src/authority/key.ts";
import type { Token } from "../../../src/authority/token.ts";
import {
  type EndRotationOutcome,
  maxKeysOfToken,
  maxOverlapMs,
  type NewKey,
  type RotateOutcome,
  requestMemoryMs,
} from "../../../src/authority/token-store.ts";
import { aChangeQuery, aNewToken, anyLimit, aRequest, at, byBearer, createdIn, hex, nowMs } from "./builders.ts";
import type { StoreRig } from "./store-rig.ts";

const hourMs = 60 * 60 * 1000;

function aKey(): NewKey {
  const digest = createHash("sha256").update(randomBytes(16)).digest();
  return { digest, keyHint: digest.toString("hex").slice(0, 4) };
}

function rotatedIn(outcome: RotateOutcome | null) {
  if (outcome?.kind !== "rotated") {
    throw new Error(`expected a rotation, not ${outcome?.kind}`);
  }
  return outcome;
}

function endedIn(outcome: EndRotationOutcome | null) {
  if (outcome?.kind !== "ended") {
    throw new Error(`expected the end of a rotation, not ${outcome?.kind}`);
  }
  return outcome;
}

function endsOf(token: Token): readonly (number | null)[] {
  return token.keys.toSorted((a, b) => a.issueRevision - b.issueRevision).map(({ endsAtMs }) => endsAtMs);
}

/** The promises of rotateKey and endRotation. */
export function describeRotations(rig: StoreRig): void {
  /** A token of the account, its first key, and a second one with an hour of overlap. */
  async function aRotation(facts: Parameters<typeof aNewToken>[0] = {}) {
    const made = aNewToken(facts);
    await rig.store.create(made, null, anyLimit, at(nowMs));
    const key = aKey();
    const { token, change } = rotatedIn(await rig.store.rotateKey(made.id, key, hourMs, null, at(nowMs)));
    return { made, key, token, change };
  }

  describe("a rotation of a key", () => {
    it("makes two keys good at once, of which the old one has an end, and appends one row to the journal", async () => {
      const { made, key, token, change } = await aRotation();
      expect(token).toMatchObject({ id: made.id, keyHint: key.keyHint, issueRevision: 2, keyEndsAtMs: null });
      expect(endsOf(token)).toEqual([nowMs + hourMs, null]);
      expect(await rig.store.get(made.id)).toEqual(token);
      expect(await rig.store.findByDigest(made.digest)).toMatchObject({
        ...{ id: made.id, keyHint: made.keyHint, issueRevision: 1, keyEndsAtMs: nowMs + hourMs },
      });
      expect(await rig.store.findByDigest(key.digest)).toMatchObject({ id: made.id, keyEndsAtMs: null });
      expect(rig.store.head().revision).toBe(2);
      const page = await rig.store.listChanges(aChangeQuery({ tokenId: made.id }));
      const row = page?.changes[0];
      const facts = keyFacts({ issued: key, ends: [{ issueRevision: 1, endsAtMs: nowMs + hourMs }] });
      expect(row).toMatchObject({ action: "rotate_key", revision: 2, facts });
      expect(change).toMatchObject({ action: "rotate_key", subject: { tokenId: made.id }, reason: "" });
      expect(change.ends).toEqual([{ digest: expect.anything(), endsAtMs: nowMs + hourMs }]);
      expect(hex(change.ends[0]?.digest)).toBe(hex(made.digest));
    });

    it("ends the old key with its token when that is earlier", async () => {
      const { token } = await aRotation({ expiresAtMs: nowMs + 1000 });
      expect(endsOf(token)).toEqual([nowMs + 1000, null]);
    });

    it("without an overlap ends the old key at once", async () => {
      const made = aNewToken();
      await rig.store.create(made, null, anyLimit, at(nowMs));
      const { token } = rotatedIn(await rig.store.rotateKey(made.id, aKey(), 0, aRequest("1"), at(nowMs + 5)));
      expect(endsOf(token)).toEqual([nowMs + 5, null]);
    });

    it("keeps the last use of each key, of which the token has the latest", async () => {
      const { made, token } = await aRotation();
      await rig.store.recordUses([
        { issueRevision: 1, usedAtMs: nowMs + 5 },
        { issueRevision: 2, usedAtMs: nowMs + 3 },
      ]);
      const used = await rig.store.get(made.id);
      expect(used?.lastUsedAtMs).toBe(nowMs + 5);
      expect(used?.keys.map(({ hint, lastUsedAtMs }) => [hint, lastUsedAtMs])).toEqual([
        [token.keyHint, nowMs + 3],
        [made.keyHint, nowMs + 5],
      ]);
    });

    it("replaces a new key that was never accepted, which ends at once, and gives the old one an end anew", async () => {
      const { made, key } = await aRotation();
      const third = aKey();
      const { token } = rotatedIn(await rig.store.rotateKey(made.id, third, 2 * hourMs, null, at(nowMs + 9)));
      expect(endsOf(token)).toEqual([nowMs + 9 + 2 * hourMs, nowMs + 9, null]);
      expect(await rig.store.findByDigest(key.digest)).toMatchObject({ id: made.id, keyEndsAtMs: nowMs + 9 });
    });

    it("is refused while the old key lives and the new one was accepted, and not once the old one has ended", async () => {
      const { made } = await aRotation();
      await rig.store.recordUses([{ issueRevision: 2, usedAtMs: nowMs }]);
      const ask = (atMs: number) => rig.store.rotateKey(made.id, aKey(), 5, null, at(atMs));
      expect(await ask(nowMs + hourMs - 1)).toEqual({ kind: "rotation_under_way" });
      expect(rig.store.head().revision).toBe(2);
      const { token } = rotatedIn(await ask(nowMs + hourMs));
      expect(endsOf(token)).toEqual([nowMs + hourMs, nowMs + hourMs + 5, null]);
    });

    it("is refused for a token that is revoked or has expired, and null for one that is not there", async () => {
      const revoked = await rig.revoke(await rig.create());
      const expired = await rig.create({ expiresAtMs: nowMs + 1 });
      for (const { id } of [revoked, expired]) {
        expect(await rig.store.rotateKey(id, aKey(), 5, null, at(nowMs + 1))).toEqual({ kind: "token_not_active" });
        expect(await rig.store.endRotation(id, { kind: "cut" }, at(nowMs + 1))).toEqual({ kind: "token_not_active" });
      }
      expect(await rig.store.rotateKey(mintTokenId(), aKey(), 5, null, at(nowMs))).toBeNull();
      expect(await rig.store.endRotation(mintTokenId(), { kind: "cancel" }, at(nowMs))).toBeNull();
    });

    it("is refused once a token has had as many keys as it may have", async () => {
      const made = aNewToken();
      await rig.store.create(made, null, anyLimit, at(nowMs));
      const outcomes = await Promise.all(
        Array.from({ length: maxKeysOfToken }, () => rig.store.rotateKey(made.id, aKey(), 5, null, at(nowMs))),
      );
      expect(outcomes.at(-2)?.kind).toBe("rotated");
      expect(outcomes.at(-1)).toEqual({ kind: "key_limit_reached" });
    });

    it("of two at once, the second replaces the new key of the first: one old key and one new key live", async () => {
      const made = aNewToken();
      await rig.store.create(made, null, anyLimit, at(nowMs));
      const outcomes = await Promise.all(
        Array.from({ length: 8 }, () => rig.store.rotateKey(made.id, aKey(), hourMs, null, at(nowMs))),
      );
      expect(outcomes.map((outcome) => outcome?.kind)).toEqual(Array(8).fill("rotated"));
      const token = await rig.store.get(made.id);
      expect(token && endsOf(token)).toEqual([nowMs + hourMs, ...Array(7).fill(nowMs), null]);
    });

    it("beside a revocation leaves no key that lives", async () => {
      const made = aNewToken();
      await rig.store.create(made, null, anyLimit, at(nowMs));
      const key = aKey();
      await Promise.all([
        rig.store.rotateKey(made.id, key, hourMs, null, at(nowMs)),
        rig.store.revoke(made.id, "leaked", at(nowMs)),
      ]);
      const found = await Promise.all([made.digest, key.digest].map((digest) => rig.store.findByDigest(digest)));
      expect(found.map((token) => token?.revokedAtMs ?? nowMs)).toEqual([nowMs, nowMs]);
      expect(await rig.store.rotateKey(made.id, aKey(), 5, null, at(nowMs))).toEqual({ kind: "token_not_active" });
    });
  });

  describe("a rotation with a request id", () => {
    const request = aRequest("r1", "rotate", "sealed");
    const ask = (id: string, atMs: number, body = request) => rig.store.rotateKey(id, aKey(), 0, body, at(atMs));

    it("is answered again with the same key, and rotates nothing", async () => {
      const { id } = await rig.create();
      const first = rotatedIn(await ask(id, nowMs));
      const again = await ask(id, nowMs + requestMemoryMs - 1);
      expect(again).toMatchObject({ kind: "replayed", token: first.token, issueRevision: 2, isOver: false });
      expect(again?.kind === "replayed" && Buffer.from(again.sealedKey ?? []).toString()).toBe("sealed");
      expect(rig.store.head().revision).toBe(2);
      expect(await ask(id, nowMs + requestMemoryMs)).toMatchObject({ kind: "rotated" });
    });

    it("of another body is refused, also when Create had the id", async () => {
      const { id } = await rig.create();
      await ask(id, nowMs);
      expect(await ask(id, nowMs, aRequest("r1", "other"))).toEqual({ kind: "request_id_reused" });
      await rig.store.create(aNewToken(), aRequest("c1", "create"), anyLimit, at(nowMs));
      expect(await ask(id, nowMs, aRequest("c1", "rotate"))).toEqual({ kind: "request_id_reused" });
    });

    it("shows the key no more once that key has ended, or its token is revoked", async () => {
      const over = { kind: "replayed", sealedKey: null, isOver: true };
      const cut = await rig.create();
      await ask(cut.id, nowMs, aRequest("cut", "b"));
      rotatedIn(await rig.store.rotateKey(cut.id, aKey(), 10, null, at(nowMs + 1)));
      expect(await ask(cut.id, nowMs + 10, aRequest("cut", "b"))).toMatchObject({ isOver: false });
      expect(await ask(cut.id, nowMs + 11, aRequest("cut", "b"))).toMatchObject(over);
      const canceled = await rig.create();
      rotatedIn(await rig.store.rotateKey(canceled.id, aKey(), 10, aRequest("cancel", "b"), at(nowMs)));
      await rig.store.endRotation(canceled.id, { kind: "cancel" }, at(nowMs + 1));
      expect(await ask(canceled.id, nowMs + 1, aRequest("cancel", "b"))).toMatchObject(over);
      const revoked = await rig.create();
      await ask(revoked.id, nowMs, aRequest("revoke", "b"));
      await rig.revoke(revoked);
      expect(await ask(revoked.id, nowMs, aRequest("revoke", "b"))).toMatchObject(over);
    });

    it("a creation is not shown again either once its key has ended, though its token lives", async () => {
      const made = aNewToken();
      await rig.store.create(made, aRequest("made", "b"), anyLimit, at(nowMs));
      await ask(made.id, nowMs + 1, aRequest("cut", "b"));
      const again = await rig.store.create(aNewToken(), aRequest("made", "b"), anyLimit, at(nowMs + 1));
      expect(again).toMatchObject({ kind: "replayed", sealedKey: null, isOver: true });
    });
  });

  describe("the end of a rotation", () => {
    const end = (id: string, what: Parameters<typeof rig.store.endRotation>[1], atMs: number) =>
      rig.store.endRotation(id, what, at(atMs));

    it("cuts the old key now; again changes nothing and answers the same revision", async () => {
      const { made } = await aRotation();
      const cut = endedIn(await end(made.id, { kind: "cut" }, nowMs + 7));
      expect(endsOf(cut.token)).toEqual([nowMs + 7, null]);
      expect(cut).toMatchObject({ revision: 3, change: { action: "end_key", revision: 3 } });
      expect(await rig.store.findByDigest(made.digest)).toMatchObject({ keyEndsAtMs: nowMs + 7 });
      expect(await end(made.id, { kind: "cut" }, nowMs + 8)).toEqual({ ...cut, change: null });
      expect(rig.store.head().revision).toBe(3);
    });

    it("cancels the new key now and lets the old one go on; again changes nothing", async () => {
      const { made, key } = await aRotation();
      const canceled = endedIn(await end(made.id, { kind: "cancel" }, nowMs + 7));
      expect(endsOf(canceled.token)).toEqual([null, nowMs + 7]);
      expect(canceled).toMatchObject({ revision: 3, change: { action: "cancel_rotation" } });
      expect(canceled.token).toMatchObject({ keyHint: made.keyHint, issueRevision: 1, keyEndsAtMs: null });
      expect(await rig.store.findByDigest(key.digest)).toMatchObject({ keyEndsAtMs: nowMs + 7 });
      expect(await end(made.id, { kind: "cancel" }, nowMs + 8)).toEqual({ ...canceled, change: null });
      // What a caller thinks is cut must not live.
      expect(await end(made.id, { kind: "cut" }, nowMs + 8)).toEqual({ kind: "rotation_not_under_way" });
    });

    it("moves the old key's end, within 7 days of the rotation and the life of the token", async () => {
      const { made } = await aRotation({ expiresAtMs: nowMs + 2 * maxOverlapMs });
      const move = (endsAtMs: number, atMs = nowMs + 1) => end(made.id, { kind: "move", endsAtMs }, atMs);
      expect(endsOf(endedIn(await move(nowMs + 1)).token)).not.toBeNull();
      expect(await move(nowMs + 9, nowMs + 9)).toEqual({ kind: "rotation_not_under_way" });
      const other = await aRotation({ expiresAtMs: nowMs + hourMs });
      const moveOther = (endsAtMs: number) => end(other.made.id, { kind: "move", endsAtMs }, nowMs + 9);
      expect(await moveOther(nowMs + 8)).toEqual({ kind: "end_out_of_range" });
      expect(await moveOther(nowMs + maxOverlapMs + 10)).toEqual({ kind: "end_out_of_range" });
      expect(endsOf(endedIn(await moveOther(nowMs + 50)).token)).toEqual([nowMs + 50, null]);
      expect(endsOf(endedIn(await moveOther(nowMs + maxOverlapMs)).token)).toEqual([nowMs + hourMs, null]);
      const { revision } = rig.store.head();
      expect(endedIn(await moveOther(nowMs + maxOverlapMs))).toMatchObject({ change: null, revision });
      expect(rig.store.head().revision).toBe(revision);
    });

    it("is refused where no old key is left to end: a key that has ended never lives again", async () => {
      const { id } = await rig.create();
      for (const kind of ["cut", "cancel"] as const) {
        expect(await end(id, { kind }, nowMs)).toEqual({ kind: "rotation_not_under_way" });
      }
      const { made } = await aRotation();
      const refusals = [{ kind: "cancel" }, { kind: "move", endsAtMs: nowMs + 2 * hourMs }] as const;
      for (const what of refusals) {
        expect(await end(made.id, what, nowMs + hourMs)).toEqual({ kind: "rotation_not_under_way" });
      }
      // It has ended by itself: that is what was asked for.
      expect(await end(made.id, { kind: "cut" }, nowMs + hourMs)).toMatchObject({ change: null });
    });
  });

  describe("a rotation that a bearer asks for", () => {
    const refused = (reason: string) => ({ kind: "maker_refused", reason });

    it("is refused to an old key from its end on, and to a bearer who does not cover the token", async () => {
      const maker = await aRotation({ type: "restricted", permissions: ["tokens:write", "events:read"] });
      const covered = await rig.create({ type: "restricted", permissions: ["events:read"] });
      const by = (issueRevision: number, atMs: number) => byBearer({ id: maker.made.id, issueRevision }, atMs);
      const rotate = (id: string, issueRevision: number, atMs: number) =>
        rig.store.rotateKey(id, aKey(), hourMs, null, by(issueRevision, atMs));
      expect(await rotate(covered.id, 1, nowMs + hourMs - 1)).toMatchObject({ kind: "rotated" });
      expect(await rotate(covered.id, 1, nowMs + hourMs)).toEqual(refused("KEY_RETIRED"));
      expect(await rig.store.endRotation(covered.id, { kind: "cut" }, by(1, nowMs + hourMs))).toEqual(
        refused("KEY_RETIRED"),
      );
      expect(await rotate(covered.id, 2, nowMs + hourMs)).toMatchObject({ kind: "rotated" });
      expect(await rotate(covered.id, 99, nowMs)).toEqual(refused("KEY_UNKNOWN"));
      for (const facts of [
        { type: "restricted", permissions: ["charges:write"] } as const,
        { type: "secret", permissions: [] } as const,
        { type: "restricted", permissions: ["events:read"], account: "acct_other" } as const,
      ]) {
        const other = await rig.create(facts);
        expect(await rotate(other.id, 2, nowMs + hourMs)).toEqual(refused("INSUFFICIENT_PERMISSIONS"));
      }
    });

    it("is refused when the token outlives the bearer's, which would be shown a key that lives longer", async () => {
      const maker = await rig.create({ type: "restricted", permissions: ["tokens:write"], expiresAtMs: nowMs + 100 });
      const longer = await rig.create({ type: "restricted", permissions: ["tokens:read"], expiresAtMs: nowMs + 101 });
      const rotate = (id: string) => rig.store.rotateKey(id, aKey(), 5, null, byBearer(maker, nowMs));
      expect(await rotate(longer.id)).toEqual(refused("INSUFFICIENT_PERMISSIONS"));
      expect(await rotate(maker.id)).toMatchObject({ kind: "rotated" });
    });
  });

  it("a rotation continues the chain of hashes with the facts that it has in the journal", async () => {
    const made = aNewToken();
    const before = createdIn(await rig.store.create(made, null, anyLimit, at(nowMs))).change;
    const key = aKey();
    const { change } = rotatedIn(await rig.store.rotateKey(made.id, key, hourMs, null, at(nowMs)));
    const facts = `{"issued":{"digest":"${hex(key.digest)}","key_hint":"${key.keyHint}"},"ends":[{"key":1,"ends_at_ms":${nowMs + hourMs}}]}`;
    expect(hex(change.hash)).toBe(hex(hashChange(before.hash, change, facts)));
  });
}
