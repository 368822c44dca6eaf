import fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { RevokeTokensRequest } from "../../src/authority/bulk-revocation.ts";
import type { FilterRequest } from "../../src/authority/lists.ts";
import type { TokenFilter } from "../../src/authority/token-store.ts";
import { aListRequest, openAuthority, operator, refusalOf } from "../support/authority-rig.ts";
import { populate, queries } from "../support/token-store/population.ts";

type Authority = Awaited<ReturnType<typeof openAuthority>>;

const never = new AbortController().signal;

function ask(
  authority: Authority,
  filter: Partial<FilterRequest>,
  rest: Partial<Omit<RevokeTokensRequest, "filter">> = {},
  caller: Parameters<Authority["revokeTokens"]>[0] = operator,
) {
  const request = { filter: { ...aListRequest, ...filter }, force: false, upToRevision: 0, reason: "", ...rest };
  return authority.revokeTokens(caller, request, never);
}

/** With force, until it is done. */
async function revokeAll(authority: Authority, filter: Partial<FilterRequest>, upToRevision: number, reason = "") {
  let revoked = 0;
  for (let from = upToRevision; ; ) {
    const answer = await ask(authority, filter, { force: true, upToRevision: from, reason });
    revoked += answer.revoked;
    from = answer.upToRevision;
    if (answer.done) {
      return revoked;
    }
  }
}

/** The ids that List answers, page by page. */
async function listed(authority: Authority, filter: Partial<FilterRequest>): Promise<readonly string[]> {
  const ids: string[] = [];
  for (let pageToken = ""; ; ) {
    const { tokens, nextPageToken } = await authority.listTokens({ ...filter, pageSize: 1000, pageToken });
    ids.push(...tokens.map(({ id }) => id));
    if (nextPageToken === "") {
      return ids;
    }
    pageToken = nextPageToken;
  }
}

/** A filter as the domain has it, in the words of a request. */
function asRequest(filter: TokenFilter): FilterRequest {
  const { account, permission, nameContains, keyHint, createdBy, ...rest } = filter;
  return {
    ...rest,
    account: account ?? "",
    permission: permission ?? "",
    nameContains: nameContains ?? "",
    keyHint: keyHint ?? "",
    createdBy: createdBy ?? "",
  };
}

describe("revoking by filter", () => {
  it("counts, in the dry run, what List answers of tokens that are not revoked, and changes nothing", async () => {
    const authority = await openAuthority();
    const model = await populate(authority.store);
    const before = authority.store.head();
    await fc.assert(
      fc.asyncProperty(queries(model.length), async ({ filter }) => {
        const asked = asRequest({ ...filter, livemode: filter.livemode ?? true });
        const states = asked.states.length === 0 ? (["active", "expired"] as const) : asked.states;
        const left = states.filter((state) => state !== "revoked");
        const expected = left.length === 0 ? [] : await listed(authority, { ...asked, states: left });
        expect(await ask(authority, asked)).toEqual({
          ...{ matched: expected.length, sampleIds: expected.slice(0, 100), upToRevision: before.revision },
          ...{ revoked: 0, done: false, revision: null, settlement: { acknowledged: 0, silent: [], unconfirmed: [] } },
        });
      }),
      { numRuns: 100 },
    );
    expect(authority.store.head()).toEqual(before);
  }, 120_000);

  it("revokes what the dry run counted and nothing else, a row of the journal each, with the same reason", async () => {
    const authority = await openAuthority();
    const model = await populate(authority.store);
    const filter = { account: "a", permission: "charges:read" } as const;
    const { matched, upToRevision, sampleIds } = await ask(authority, filter);
    expect(matched).toBeGreaterThan(20);
    expect(await revokeAll(authority, filter, upToRevision, "  lost laptop ")).toBe(matched);
    const { changes } = await authority.findChanges({ afterRevision: upToRevision, pageSize: 1000 });
    expect(changes.map(({ subject }) => subject)).toEqual(sampleIds.toReversed().map((tokenId) => ({ tokenId })));
    expect(new Set(changes.map(({ reason, action, caller }) => `${action} ${reason} ${caller}`))).toEqual(
      new Set(["revoke lost laptop local"]),
    );
    const revoked = new Set(sampleIds);
    for (const { id, revokedAtMs } of model) {
      expect((await authority.get(id)).revokedAtMs === null).toBe(revokedAtMs === null && !revoked.has(id));
    }
    expect(await ask(authority, filter)).toMatchObject({ matched: 0, sampleIds: [] });
    expect(await revokeAll(authority, filter, upToRevision)).toBe(0);
  });

  it("tells of each revocation as of any other change", async () => {
    const told: unknown[] = [];
    const authority = await openAuthority({ onChange: ({ action, subject }) => told.push([action, subject]) });
    const { id } = await authority.issue();
    const { upToRevision } = await ask(authority, { account: "acct_1" });
    await revokeAll(authority, { account: "acct_1" }, upToRevision);
    expect(told).toEqual([
      ["create", { tokenId: id }],
      ["revoke", { tokenId: id }],
    ]);
  });

  it("revokes 1000 a call at the most, and goes on with the same request or from where the answer says", async () => {
    const authority = await openAuthority({ maxTokensPerAccount: 10_000 });
    await Promise.all(Array.from({ length: 2100 }, () => authority.issue()));
    const filter = { account: "acct_1" };
    const { matched, sampleIds, upToRevision } = await ask(authority, filter);
    expect([matched, sampleIds.length, upToRevision]).toEqual([2100, 100, 2100]);
    const first = await ask(authority, filter, { force: true, upToRevision });
    expect(first).toMatchObject({ revoked: 1000, done: false, upToRevision: 1100, revision: 3100 });
    const again = await ask(authority, filter, { force: true, upToRevision });
    expect(again).toMatchObject({ revoked: 1000, done: false, upToRevision: 100 });
    const last = await ask(authority, filter, { force: true, upToRevision: again.upToRevision });
    expect(last).toMatchObject({ revoked: 100, done: true });
  });

  it("counts to 10,000, which stands for more", async () => {
    const authority = await openAuthority({ maxTokensPerAccount: 20_000 });
    for (let batch = 0; batch < 11; batch += 1) {
      await Promise.all(Array.from({ length: 910 }, () => authority.issue()));
    }
    expect((await ask(authority, { account: "acct_1" })).matched).toBe(10_000);
  });

  it("never revokes what was created after the dry run, while creations race it", async () => {
    const authority = await openAuthority({ maxTokensPerAccount: 100_000 });
    const filter = { account: "acct_1" };
    for (let round = 0; round < 50; round += 1) {
      await Promise.all(Array.from({ length: 20 }, () => authority.issue()));
      const { upToRevision } = await ask(authority, filter);
      const first = await authority.issue();
      const racing = Array.from({ length: 40 }, () => authority.issue());
      const [revoked, ...others] = await Promise.all([revokeAll(authority, filter, upToRevision), ...racing]);
      expect(revoked).toBeGreaterThanOrEqual(20);
      const later = await authority.findChanges({ afterRevision: upToRevision, action: "revoke", pageSize: 1000 });
      const ended = new Set(later.changes.map(({ subject }) => JSON.stringify(subject)));
      expect([first, ...others].filter(({ id }) => ended.has(JSON.stringify({ tokenId: id })))).toEqual([]);
    }
  }, 120_000);

  it("asks the filter again in the step that revokes: what matches no more is left", async () => {
    const authority = await openAuthority();
    const { id, token } = await authority.issue();
    authority.clock.nowMs += 1_000_000;
    const unusedSinceMs = authority.clock.nowMs - 500_000;
    const { matched, upToRevision } = await ask(authority, { unusedSinceMs });
    expect(matched).toBe(1);
    const { list } = authority.store;
    authority.store.list = async (query) => {
      const page = await list(query);
      await authority.store.recordUses([{ issueRevision: token.issueRevision, usedAtMs: authority.clock.nowMs }]);
      return page;
    };
    expect(await revokeAll(authority, { unusedSinceMs }, upToRevision)).toBe(0);
    expect((await authority.get(id)).revokedAtMs).toBeNull();
  });

  it("stops at a signal between two steps, and says from where to go on", async () => {
    const authority = await openAuthority();
    await Promise.all(Array.from({ length: 100 }, () => authority.issue()));
    const gone = new AbortController();
    const { revokeMatching } = authority.store;
    authority.store.revokeMatching = (...asked) => {
      gone.abort();
      return revokeMatching(...asked);
    };
    const filter = { ...aListRequest, account: "acct_1" };
    const request = { filter, force: true, upToRevision: 100, reason: "" };
    const { revoked, upToRevision, done } = await authority.revokeTokens(operator, request, gone.signal);
    expect([revoked, upToRevision, done]).toEqual([64, 36, false]);
  });

  it("refuses no filter at all, a bad one, and force without what the dry run answered", async () => {
    const authority = await openAuthority();
    await authority.issue();
    const refused = (...asked: Parameters<typeof ask>) => refusalOf(ask(...asked));
    expect(await refused(authority, {})).toMatch("FIELD_INVALID: filter must have at least one filter");
    expect(await refused(authority, { keyHint: "?" })).toMatch("FIELD_INVALID: filter.keyHint must be the last 4");
    const dashboard = { identity: "dashboard", role: "dashboard" } as const;
    expect(await refused(authority, { livemode: true }, {}, dashboard)).toMatch(
      "FIELD_INVALID: filter.account must be named by the role dashboard",
    );
    const force = (upToRevision: number, reason = "") =>
      refused(authority, { account: "acct_1" }, { force: true, upToRevision, reason });
    expect(await force(0)).toMatch("FIELD_INVALID: upToRevision must be what a call without force answered");
    expect(await force(-1)).toMatch("FIELD_INVALID: upToRevision");
    expect(await force(2)).toMatch("FIELD_INVALID: upToRevision");
    expect(await force(1, "a\nb")).toMatch("FIELD_INVALID: reason");
    expect(await refused(authority, { account: "acct_1" }, { reason: "a\nb" })).toMatch("FIELD_INVALID: reason");
    expect((await ask(authority, { account: "acct_1" }, {}, dashboard)).matched).toBe(1);
    expect((await authority.listTokens({ states: ["active"] })).tokens).toHaveLength(1);
  });
});
