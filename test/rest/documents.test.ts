import { readFileSync } from "node:fs";
import { resolve } from "node:path";
import { expect, it } from "vitest";
import type { DelegationReason } from "../../src/authority/delegation.ts";
import { AuthorityError, type Reason } from "../../src/authority/errors.ts";
import type { RefusalReason } from "../../src/authority/judge.ts";
import * as bearerErrors from "../../src/calls/public-error.ts";
import * as restErrors from "../../src/doors/rest/errors.ts";

const refusals = {
  KEY_MALFORMED: true,
  KEY_UNKNOWN: true,
  TOKEN_REVOKED: true,
  KEY_RETIRED: true,
  TOKEN_EXPIRED: true,
  TYPE_NOT_ALLOWED: true,
  INSUFFICIENT_PERMISSIONS: true,
  TOKEN_HELD: true,
  ACCOUNT_HELD: true,
  ACCOUNT_CLOSED: true,
} satisfies Record<Exclude<RefusalReason, "LIVEMODE_MISMATCH">, true>;

const delegation = {
  TYPE_MANAGED_IN_DASHBOARD: true,
  PERMISSION_OF_TOKENS: true,
  PERMISSION_NOT_COVERED: true,
  EXPIRES_AFTER_MAKER: true,
  TOKEN_OUTLIVES_MAKER: true,
  TOKEN_MANAGED_IN_DASHBOARD: true,
  TOKEN_NOT_COVERED: true,
  KEY_IS_PUBLIC: true,
} satisfies Record<DelegationReason, true>;

// The others come of parameters, or cannot come of what this API asks for.
const reasons: readonly Reason[] = [
  "TOKEN_NOT_FOUND",
  "TOKEN_LIMIT_REACHED",
  "STORAGE_LOW",
  "REQUEST_ID_REUSED",
  "SEALING_SECRET_MISSING",
  "REPLAY_UNREADABLE",
  "TOKEN_NOT_ACTIVE",
  "ROTATION_UNDER_WAY",
  "ROTATION_NOT_UNDER_WAY",
  "KEY_LIMIT_REACHED",
  "UNDECIDED",
];

function publicErrors(): readonly bearerErrors.PublicError[] {
  const constants = [...Object.values(bearerErrors), ...Object.values(restErrors)].filter(
    (value) => typeof value === "object",
  );
  return [
    ...constants,
    ...Object.keys(refusals).map((reason) => bearerErrors.publicRefusal(reason as RefusalReason, [])),
    ...Object.keys(delegation).map((reason) => restErrors.fromDelegation(reason as DelegationReason)),
    ...reasons
      .map((reason) => restErrors.fromAuthority(new AuthorityError(reason, { rule: "" })))
      .filter((told) => told !== null),
    ...[restErrors.parameterInvalid, restErrors.parameterMissing, restErrors.parameterUnknown].map(
      (error) => error("name", "").told,
    ),
    restErrors.bodyMalformed(""),
  ].filter((told) => told !== restErrors.clientGone);
}

it("docs/rest.md has every error, with its status, and no other", () => {
  const text = readFileSync(resolve(import.meta.dirname, "../../docs/rest.md"), "utf8");
  const documented = [...text.matchAll(/^\| (\d{3}) \| ([^|]+) \|/gm)].flatMap(([, status, codes = ""]) =>
    [...codes.matchAll(/`(\w+)`/g)].map(([, code]) => `${status} ${code}`),
  );
  const told = publicErrors().map(({ status, code }) => `${status} ${code}`);
  expect(documented.toSorted()).toEqual([...new Set(told)].toSorted());
});
