import { fromBinary, toBinary } from "@bufbuild/protobuf";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { AuthenticateResponseSchema } from "#gen/casapay/token/v1/token_service_pb.ts";
import type { Outcome } from "../../src/authority/judge.ts";
import type { Principal } from "../../src/authority/key-index.ts";
import { type StoredToken, tokenTypes } from "../../src/authority/token.ts";
import { preparedAnswer } from "../../src/calls/prepared-answers.ts";
import { encodeAuthenticateResponse } from "../../src/doors/rpc/lanes/encode-authenticate-response.ts";
import { toAuthenticateResponse } from "../../src/doors/rpc/to-message.ts";
import { enveloped } from "../connect/connect-rig.ts";

const anyCharacter = fc.integer({ min: 0, max: 0x10ffff }).map((code) => String.fromCodePoint(code));
const anyText = fc.oneof(
  fc.string({ maxLength: 70 }),
  fc.string({ unit: anyCharacter, maxLength: 20 }),
  fc.string({ minLength: 120, maxLength: 140 }),
);
const anyTimeMs = fc.oneof(
  fc.constantFrom(0, 1, 999, 1000, -1, -1000, 2 ** 31 * 1000, 253_402_300_799_999, -62_135_596_800_000),
  fc.integer({ min: -62_135_596_800_000, max: 253_402_300_799_999 }),
);
const anyToken: fc.Arbitrary<StoredToken> = fc.record({
  id: anyText,
  account: anyText,
  name: anyText,
  type: fc.constantFrom(...tokenTypes),
  livemode: fc.boolean(),
  keyHint: fc.constant("2UYg"),
  permissions: fc.array(anyText, { maxLength: 8 }),
  createdBy: anyText,
  createdAtMs: fc.constant(1),
  expiresAtMs: fc.option(anyTimeMs),
  revokedAtMs: fc.constant(null),
  revokeReason: fc.constant(""),
  createRevision: fc.constant(7),
  issueRevision: fc.constant(7),
  keyEndsAtMs: fc.option(anyTimeMs),
  held: fc.constant(false),
  accountState: fc.constant("active"),
  revokeRevision: fc.constant(null),
});
function principalOf(token: StoredToken, isRemembered: boolean): Principal {
  return { kind: "principal", token, isRemembered, beside: null };
}

const anyOutcome: fc.Arbitrary<Outcome> = fc.oneof(
  anyToken.map((token) => principalOf(token, false)),
  fc
    .constantFrom("KEY_MALFORMED", "KEY_UNKNOWN")
    .map((reason) => ({ kind: "refusal", reason, token: null, missingPermissions: [] }) as const),
  fc.record({
    kind: fc.constant("refusal"),
    reason: fc.constantFrom(
      "TOKEN_REVOKED",
      "TOKEN_EXPIRED",
      "LIVEMODE_MISMATCH",
      "TYPE_NOT_ALLOWED",
      "INSUFFICIENT_PERMISSIONS",
    ),
    token: anyToken,
    missingPermissions: fc.array(anyText, { maxLength: 8 }),
  }),
);

describe("AuthenticateResponse in the lane", () => {
  it("is, byte for byte, what protobuf-es makes of the mapper's message", () => {
    fc.assert(
      fc.property(anyOutcome, (outcome) => {
        const expected = enveloped(toBinary(AuthenticateResponseSchema, toAuthenticateResponse(outcome)));
        expect(Buffer.from(encodeAuthenticateResponse(outcome)).toString("hex")).toBe(
          Buffer.from(expected).toString("hex"),
        );
      }),
      { numRuns: 2000 },
    );
  });

  it("holds the longest answer there is", () => {
    const permissions = Array.from({ length: 100 }, (_, index) => `${"p".repeat(61)}${index}:write`);
    const token = fc.sample(anyToken, 1).map((any) => ({ ...any, permissions }))[0];
    expect(token).toBeDefined();
    if (token !== undefined) {
      const answer = encodeAuthenticateResponse(principalOf(token, false));
      const message = fromBinary(AuthenticateResponseSchema, answer.subarray(5));
      expect(message.outcome.case === "principal" && message.outcome.value.permissions).toEqual(permissions);
    }
  });

  it("is made once for keys that are none or unknown", () => {
    for (const reason of ["KEY_MALFORMED", "KEY_UNKNOWN"] as const) {
      const encode = () => encodeAuthenticateResponse({ kind: "refusal", reason, token: null, missingPermissions: [] });
      expect(encode()).toBe(encode());
    }
  });

  it("is made once for a principal that is remembered, and again for one that is not", () => {
    for (const principal of fc.sample(anyToken, 2).map((token, index) => principalOf(token, index === 0))) {
      const answer = encodeAuthenticateResponse(principal);
      expect(encodeAuthenticateResponse(principal) === answer).toBe(principal.isRemembered);
      expect(encodeAuthenticateResponse(principal)).toEqual(answer);
    }
  });

  it("keeps no more memory alive than its own bytes, and has its place beside what Check keeps", () => {
    const [token] = fc.sample(anyToken, 1);
    expect(token).toBeDefined();
    if (token !== undefined) {
      const principal = principalOf(token, true);
      const check = preparedAnswer(principal, "check", () => Buffer.from("of Check"));
      const answer = encodeAuthenticateResponse(principal);
      expect(answer.buffer.byteLength).toBe(answer.byteLength);
      expect(check.buffer.byteLength).toBe(check.byteLength);
      expect(encodeAuthenticateResponse(principal)).toBe(answer);
      expect(preparedAnswer(principal, "check", () => Buffer.from("another"))).toBe(check);
    }
  });
});
