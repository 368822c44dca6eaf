import { createHash } from "node:crypto";
import { describe, expect, it } from "vitest";
import { createSealer } from "../../src/authority/sealer.ts";
import { stateOf } from "../../src/authority/token.ts";
import { authorityOver } from "../support/authority-over.ts";
import { aSecretKey, openAuthority, operator, refusalOf } from "../support/authority-rig.ts";

describe("authenticating", () => {
  it("refuses a token from the millisecond it expires", async () => {
    const authority = await openAuthority();
    const { key } = await authority.issue({ expiresAtMs: authority.clock.nowMs + 60_000 });
    authority.clock.nowMs += 59_999;
    expect(await authority.verdictOf(key)).toBe("principal");
    authority.clock.nowMs += 1;
    expect(await authority.verdictOf(key)).toBe("TOKEN_EXPIRED");
  });

  it("never takes back an expiry when the system's clock runs back", async () => {
    const authority = await openAuthority();
    const { key } = await authority.issue({ expiresAtMs: authority.clock.nowMs + 60_000 });
    authority.clock.nowMs += 60_000;
    expect(await authority.verdictOf(key)).toBe("TOKEN_EXPIRED");
    authority.clock.nowMs -= 30_000;
    expect(await authority.verdictOf(key)).toBe("TOKEN_EXPIRED");
  });

  it("makes its checks in the order of the contract: each key fails the first of those that it would fail", async () => {
    const authority = await openAuthority();
    const request = { livemode: true, requiredPermissions: ["events:write"] };
    const restricted = {
      type: "restricted" as const,
      permissions: ["events:read"],
      expiresAtMs: authority.clock.nowMs + 60_000,
    };
    const publishable = { type: "publishable" as const, expiresAtMs: authority.clock.nowMs + 60_000 };

    const testmode = await authority.issue({ ...publishable, livemode: false });
    const livemode = await authority.issue({ ...publishable, livemode: true });
    const short = await authority.issue({ ...restricted, livemode: true });
    expect(await authority.verdictOf(testmode.key, request)).toBe("LIVEMODE_MISMATCH");
    expect(await authority.verdictOf(livemode.key, request)).toBe("TYPE_NOT_ALLOWED");
    expect(await authority.verdictOf(short.key, request)).toBe("INSUFFICIENT_PERMISSIONS");

    authority.clock.nowMs += 60_000;
    expect(await authority.verdictOf(testmode.key, request)).toBe("TOKEN_EXPIRED");
    await authority.revoke(testmode.id);
    expect(await authority.verdictOf(testmode.key, request)).toBe("TOKEN_REVOKED");
  });

  it("tells support whose key it was, once the key is proven, and which permissions it lacks", async () => {
    const authority = await openAuthority();
    const { key, id } = await authority.issue({ type: "restricted", permissions: ["events:read"] });
    const requiredPermissions = ["events:read", "events:write", "charges:read"];
    expect(await authority.outcomeOf(key, { requiredPermissions })).toMatchObject({
      token: { id, account: "acct_1" },
      missingPermissions: ["events:write", "charges:read"],
    });
  });

  it("lets a publishable key pass only where a gateway says so, and gives it no permission there", async () => {
    const authority = await openAuthority();
    const { key } = await authority.issue({ type: "publishable" });
    const allowedTypes = ["publishable"] as const;
    expect(await authority.verdictOf(key)).toBe("TYPE_NOT_ALLOWED");
    expect(await authority.verdictOf(key, { allowedTypes })).toBe("principal");
    expect(await authority.verdictOf(key, { allowedTypes, requiredPermissions: ["events:read"] })).toBe(
      "INSUFFICIENT_PERMISSIONS",
    );
  });

  it("moves the last use for accepted keys alone, a minute or more at a time", async () => {
    const authority = await openAuthority();
    const used = await authority.issue();
    const refused = await authority.issue({ type: "publishable" });
    const first = authority.clock.nowMs;
    await authority.verdictOf(used.key);
    await authority.verdictOf(refused.key);
    authority.clock.nowMs += 59_999;
    await authority.verdictOf(used.key);
    await authority.flush();
    const lastUse = async (id: string) => (await authority.get(id)).lastUsedAtMs;
    expect(await lastUse(used.id)).toEqual(first);
    expect(await lastUse(refused.id)).toBeNull();

    authority.clock.nowMs += 1;
    await authority.verdictOf(used.key);
    await authority.flush();
    expect(await lastUse(used.id)).toEqual(authority.clock.nowMs);
  });
});

describe("creating", () => {
  it("refuses an expiry that is not in the future, at the millisecond", async () => {
    const authority = await openAuthority();
    expect(await refusalOf(authority.issue({ expiresAtMs: authority.clock.nowMs }))).toBe(
      "FIELD_INVALID: expiresAtMs must lie in the future",
    );
    expect((await authority.issue({ expiresAtMs: authority.clock.nowMs + 1 })).id).toMatch(/^tok_/);
  });

  it("refuses a live secret or restricted key that lives longer than the limit, at the millisecond, and no other", async () => {
    const authority = await openAuthority({ maxLifetimeDays: 90 });
    const latestMs = authority.clock.nowMs + 90 * 24 * 60 * 60 * 1000;
    const live = { livemode: true } as const;
    const restricted = { ...live, type: "restricted", permissions: ["charges:read"] } as const;
    const tooLong =
      "FIELD_INVALID: expiresAtMs must be given, and at most 90 days ahead: live secret keys live no longer here";
    expect(await refusalOf(authority.issue(live))).toBe(tooLong);
    expect(await refusalOf(authority.issue({ ...live, expiresAtMs: latestMs + 1 }))).toBe(tooLong);
    expect(await refusalOf(authority.issue({ ...restricted, expiresAtMs: latestMs + 1 }))).toMatch(
      "expiresAtMs must be given",
    );
    expect((await authority.issue({ ...live, expiresAtMs: latestMs })).id).toMatch(/^tok_/);
    expect((await authority.issue({ ...restricted, expiresAtMs: latestMs })).id).toMatch(/^tok_/);
    expect((await authority.issue({ ...live, type: "publishable" })).id).toMatch(/^tok_/);
    expect((await authority.issue()).id).toMatch(/^tok_/);
  });

  it("answers a repeated request though the limit of lifetimes was lowered since, and creates nothing more", async () => {
    const sealer = createSealer(new Uint8Array(32));
    const before = await openAuthority({ sealer });
    const after = authorityOver(before.store, { sealer, maxLifetimeDays: 1, clock: () => before.clock.nowMs });
    const request = { livemode: true, requestId: "0197e2b4-8c1e-7c30-9d5a-3f1f6f0d9c52" } as const;
    const first = await before.issue(request);
    const ask = (requestId: string) => after.create(operator, { ...aSecretKey, livemode: true, requestId });
    expect(await ask(request.requestId)).toMatchObject({ token: { id: first.id }, key: first.key });
    expect(await refusalOf(ask("0197e2b4-8c1e-7c30-9d5a-3f1f6f0d9c53"))).toMatch("expiresAtMs must be given");
    expect((await before.listTokens()).tokens).toHaveLength(1);
  });

  it("counts towards an account's limit only what still lives", async () => {
    const authority = await openAuthority({ maxTokensPerAccount: 2 });
    const first = await authority.issue({ expiresAtMs: authority.clock.nowMs + 60_000 });
    await authority.issue();
    expect(await refusalOf(authority.issue())).toMatch("TOKEN_LIMIT_REACHED: account");
    expect((await authority.issue({ account: "acct_2" })).id).toMatch(/^tok_/);

    authority.clock.nowMs += 60_000;
    const second = await authority.issue();
    expect(await refusalOf(authority.issue())).toMatch("TOKEN_LIMIT_REACHED: account");
    await authority.revoke(second.id);
    await authority.issue();
    expect(stateOf(await authority.get(first.id), authority.clock.nowMs)).toBe("expired");
  });

  it("holds the limit when many creations run at once", async () => {
    const authority = await openAuthority({ maxTokensPerAccount: 10 });
    const results = await Promise.allSettled(Array.from({ length: 50 }, () => authority.issue()));
    expect(results.filter(({ status }) => status === "fulfilled")).toHaveLength(10);
  });
});

describe("finding by digest", () => {
  const digestOf = (key: string) => createHash("sha256").update(key).digest();

  it("answers a token whatever its state, with its last use", async () => {
    const authority = await openAuthority();
    const expiring = await authority.issue({ expiresAtMs: authority.clock.nowMs + 60_000 });
    await authority.issue();
    await authority.verdictOf(expiring.key);
    await authority.flush();
    const find = async () => {
      const token = await authority.findByDigest(digestOf(expiring.key));
      return { ...token, state: stateOf(token, authority.clock.nowMs) };
    };
    expect(await find()).toMatchObject({
      id: expiring.id,
      state: "active",
      lastUsedAtMs: authority.clock.nowMs,
    });
    authority.clock.nowMs += 60_000;
    expect(await find()).toMatchObject({ id: expiring.id, state: "expired" });
    await authority.revoke(expiring.id);
    expect(await find()).toMatchObject({ id: expiring.id, state: "revoked" });
  });
});

describe("revoking", () => {
  it("again keeps the first time, reason and revision", async () => {
    const authority = await openAuthority();
    const { id } = await authority.issue();
    const first = await authority.revoke(id, "lost");
    authority.clock.nowMs += 1000;
    await authority.issue();
    const again = await authority.revoke(id, "found");
    expect(again).toEqual(first);
    expect(first).toMatchObject({ revision: 2, token: { revokeReason: "lost", revokeRevision: 2 } });
    expect((await authority.issue()).revision).toBe(4);
  });

  it("holds for every Authenticate that starts after it was answered", async () => {
    const authority = await openAuthority();
    for (let round = 0; round < 50; round += 1) {
      const { key, id } = await authority.issue();
      const during = Array.from({ length: 10 }, () => authority.verdictOf(key));
      await authority.revoke(id);
      expect(await authority.verdictOf(key)).toBe("TOKEN_REVOKED");
      await Promise.all(during);
    }
  });
});
