import { describe, expect, it } from "vitest";
import type { FinishedCall } from "../../src/calls/finished-call.ts";
import { createRefusedKeys, mergeRefused } from "../../src/doors/console/refused-keys.ts";

function refusalOf(tokenId: string | null, refusal: string | null = "TOKEN_REVOKED", caller = "edge"): FinishedCall {
  return {
    rpc: "casapay.token.v1.TokenService/Authenticate",
    protocol: "grpc",
    caller,
    role: "gateway",
    code: "OK",
    reason: null,
    durationMs: 1,
    tokenId,
    revision: null,
    refusal,
    trace: null,
  };
}

describe("refused keys", () => {
  it("are counted by reason, gateway and token, with the time of the last", () => {
    let nowMs = 1000;
    const refused = createRefusedKeys(() => nowMs);
    refused.observe(refusalOf("tok_a"));
    nowMs = 2000;
    refused.observe(refusalOf("tok_a"));
    refused.observe(refusalOf("tok_a", "TOKEN_REVOKED", "other"));
    refused.observe(refusalOf(null, "KEY_UNKNOWN"));
    refused.observe(refusalOf("tok_a", null));
    expect(refused.rows()).toEqual([
      { reason: "TOKEN_REVOKED", caller: "edge", tokenId: "tok_a", count: 2, lastMs: 2000 },
      { reason: "TOKEN_REVOKED", caller: "other", tokenId: "tok_a", count: 1, lastMs: 2000 },
      { reason: "KEY_UNKNOWN", caller: "edge", tokenId: null, count: 1, lastMs: 2000 },
    ]);
  });

  it("are 50 of each reason at the most: the one refused longest ago is forgotten, and no other reason", () => {
    const refused = createRefusedKeys(() => 0);
    refused.observe(refusalOf(null, "KEY_UNKNOWN"));
    refused.observe(refusalOf("tok_first"));
    refused.observe(refusalOf("tok_second"));
    refused.observe(refusalOf("tok_first"));
    for (let number = 0; number < 49; number += 1) {
      refused.observe(refusalOf(`tok_${number}`));
    }
    const ids = refused.rows().map(({ tokenId }) => tokenId);
    expect(ids).toHaveLength(51);
    expect(ids).toContain("tok_first");
    expect(ids).toContain(null);
    expect(ids).not.toContain("tok_second");
  });

  it("of several threads are added up, the latest first, and again 50 of each reason at the most", () => {
    const row = { reason: "TOKEN_REVOKED", caller: "edge", tokenId: "tok_a" };
    const others = Array.from({ length: 60 }, (_, at) => ({ ...row, tokenId: `tok_${at}`, count: 1, lastMs: at }));
    const merged = mergeRefused([{ ...row, count: 2, lastMs: 300 }, ...others, { ...row, count: 3, lastMs: 200 }]);
    expect(merged[0]).toEqual({ ...row, count: 5, lastMs: 300 });
    expect(merged).toHaveLength(50);
    expect(merged.at(-1)?.lastMs).toBe(11);
  });
});
