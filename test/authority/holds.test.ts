import { describe, expect, it } from "vitest";
import { openAuthority, refusalOf } from "../support/authority-rig.ts";

const operator = { identity: "local", role: "operator" } as const;

async function openHolding() {
  const authority = await openAuthority();
  return {
    ...authority,
    holdToken: (tokenId: string, held = true, reason = "") => authority.setHold(operator, { tokenId }, held, reason),
    holdAccount: (account: string, held = true, reason = "") => authority.setHold(operator, { account }, held, reason),
    close: (account: string, reason = "") => authority.closeAccount(operator, account, reason),
  };
}

const nobodyWatches = { acknowledged: 0, silent: [], unconfirmed: [] };

describe("holding", () => {
  it("refuses the key from the answer on, and gives it back from the answer to the release on", async () => {
    const authority = await openHolding();
    const { key, id } = await authority.issue();
    for (let round = 0; round < 50; round += 1) {
      const during = Array.from({ length: 10 }, () => authority.verdictOf(key));
      const [hold, reason] =
        round % 2 === 0
          ? [(held: boolean) => authority.holdToken(id, held), "TOKEN_HELD"]
          : [(held: boolean) => authority.holdAccount("acct_1", held), "ACCOUNT_HELD"];
      await hold(true);
      expect(await authority.verdictOf(key)).toBe(reason);
      await hold(false);
      expect(await authority.verdictOf(key)).toBe("principal");
      await Promise.all(during);
    }
  });

  it("gives back exactly what would live: nothing that expired or was revoked meanwhile, nor what is held otherwise", async () => {
    const authority = await openHolding();
    const good = await authority.issue();
    const revoked = await authority.issue();
    const expiring = await authority.issue({ expiresAtMs: authority.clock.nowMs + 1000 });
    const held = await authority.issue();
    const verdicts = async () =>
      await Promise.all([good, revoked, expiring, held].map(({ key }) => authority.verdictOf(key)));
    await authority.holdToken(held.id);
    await authority.holdAccount("acct_1");
    expect(await verdicts()).toEqual(["ACCOUNT_HELD", "ACCOUNT_HELD", "ACCOUNT_HELD", "TOKEN_HELD"]);
    await authority.revoke(revoked.id);
    authority.clock.nowMs += 1000;
    expect(await verdicts()).toEqual(["ACCOUNT_HELD", "TOKEN_REVOKED", "TOKEN_EXPIRED", "TOKEN_HELD"]);
    await authority.holdAccount("acct_1", false);
    expect(await verdicts()).toEqual(["principal", "TOKEN_REVOKED", "TOKEN_EXPIRED", "TOKEN_HELD"]);
    await authority.holdToken(held.id, false);
    expect(await verdicts()).toEqual(["principal", "TOKEN_REVOKED", "TOKEN_EXPIRED", "principal"]);
  });

  it("leaves the last use where it is for as long", async () => {
    const authority = await openHolding();
    const { key, id } = await authority.issue();
    await authority.verdictOf(key);
    const usedAtMs = authority.clock.nowMs;
    await authority.holdToken(id);
    authority.clock.nowMs += 120_000;
    await authority.verdictOf(key);
    await authority.flush();
    expect((await authority.get(id)).lastUsedAtMs).toBe(usedAtMs);
    await authority.holdToken(id, false);
    await authority.verdictOf(key);
    await authority.flush();
    expect((await authority.get(id)).lastUsedAtMs).toBe(authority.clock.nowMs);
  });

  it("answers the token or the account as it is then, and the revision of the change that made it so", async () => {
    const authority = await openHolding();
    const { id } = await authority.issue();
    expect(await authority.holdToken(id)).toMatchObject({ subject: { id, held: true }, revision: 2 });
    expect(await authority.holdToken(id)).toMatchObject({ subject: { id, held: true }, revision: 2 });
    const account = { account: "acct_1", active: 1, expired: 0, revoked: 0 };
    expect(await authority.holdAccount("acct_1")).toEqual({
      subject: { ...account, state: "held" },
      revision: 3,
      settlement: nobodyWatches,
    });
    expect(await authority.holdAccount("acct_1", false)).toEqual({
      subject: { ...account, state: "active" },
      revision: 4,
      settlement: nobodyWatches,
    });
    // Somebody who has mistyped the name sees that it has no tokens.
    expect(await authority.holdAccount("acct_11")).toMatchObject({ subject: { active: 0 } });
    expect(await authority.holdAccount("acct_12", false)).toMatchObject({ revision: 0 });
  });

  it("refuses what names no token or account, and a reason that a revocation may not have", async () => {
    const authority = await openHolding();
    const { id, key } = await authority.issue();
    expect(await refusalOf(authority.holdToken("tok_1"))).toMatch(/^FIELD_INVALID: tokenId must be a token id/);
    expect(await refusalOf(authority.holdToken(`tok_${"0".repeat(24)}`))).toMatch(/^TOKEN_NOT_FOUND: tokenId /);
    expect(await refusalOf(authority.holdAccount(""))).toMatch(/^FIELD_INVALID: account must be 1 to 64/);
    expect(await refusalOf(authority.holdAccount("a b"))).toMatch(/^FIELD_INVALID: account /);
    expect(await refusalOf(authority.close(""))).toMatch(/^FIELD_INVALID: account /);
    for (const reason of [key, "x".repeat(257)]) {
      expect(await refusalOf(authority.holdToken(id, true, reason))).toMatch(/^FIELD_INVALID: reason /);
      expect(await refusalOf(authority.holdAccount("acct_1", true, reason))).toMatch(/^FIELD_INVALID: reason /);
      expect(await refusalOf(authority.close("acct_1", reason))).toMatch(/^FIELD_INVALID: reason /);
    }
    expect(await authority.verdictOf(key)).toBe("principal");
  });
});

describe("closing an account", () => {
  it("refuses every key of it for good, and whatever would make another or give one back", async () => {
    const authority = await openHolding();
    const { key, id } = await authority.issue();
    const other = await authority.issue({ account: "acct_2" });
    await authority.holdToken(id);
    const first = await authority.close("acct_1", "fraud");
    expect(first).toEqual({
      account: { account: "acct_1", state: "closed", active: 1, expired: 0, revoked: 0 },
      revision: 4,
      settlement: nobodyWatches,
    });
    expect(await authority.close("acct_1", "again")).toEqual(first);
    expect(await authority.verdictOf(key)).toBe("ACCOUNT_CLOSED");
    expect(await authority.verdictOf(other.key)).toBe("principal");
    expect(await refusalOf(authority.issue())).toBe("ACCOUNT_CLOSED: account the account is closed for good");
    expect(await refusalOf(authority.holdAccount("acct_1", false))).toMatch(/^ACCOUNT_CLOSED: account /);
    expect(await refusalOf(authority.holdAccount("acct_1"))).toMatch(/^ACCOUNT_CLOSED: account /);
  });
});
