import type { AuthenticateResponse } from "../../gen/casapay/token/v1/token_service_pb.ts";
import { decisionOf, type Principal, type Refusal } from "../decision.ts";
import type { TokenType } from "../token.ts";

/** What the authority answers about a key to the widest question: with it every other question can be decided. */
export type Facts =
  | (Omit<Principal, "type" | "expireTime" | "source"> & {
      readonly type: TokenType;
      /** Unix milliseconds: a Date could be set by its reader. */
      readonly expiresAtMs: number | null;
      /** The permissions, and those that they cover: a permission to write covers reading. */
      readonly covered: ReadonlySet<string>;
    })
  | Omit<Refusal, "source">;

/** Reasons that depend on what was asked, or that this client does not know: none answers the widest question. */
const notFacts: ReadonlySet<Refusal["reason"]> = new Set([
  "LIVEMODE_MISMATCH",
  "TYPE_NOT_ALLOWED",
  "INSUFFICIENT_PERMISSIONS",
  "UNKNOWN",
]);

/** Null for an answer that this client does not know how to decide by. */
export function factsOf(response: AuthenticateResponse): Facts | null {
  const decision = decisionOf(response);
  if (decision?.kind === "principal") {
    const { kind, tokenId, account, type, livemode, permissions, expireTime } = decision;
    if (type === "unknown") {
      return null;
    }
    const expiresAtMs = expireTime?.getTime() ?? null;
    return { kind, tokenId, account, type, livemode, expiresAtMs, ...grantOf(permissions) };
  }
  if (decision === null || notFacts.has(decision.reason)) {
    return null;
  }
  const { reason, tokenId, account } = decision;
  return { kind: "refusal", reason, missingPermissions: none, tokenId, account };
}

const none: readonly string[] = Object.freeze([]);

type Grant = { readonly permissions: readonly string[]; readonly covered: ReadonlySet<string> };

/** Grants that were made lately, by their permissions: most keys have one of a few. */
const grants = new Map<string, Grant>();
const maxGrants = 1_000;

function grantOf(permissions: readonly string[]): Grant {
  const name = permissions.join(" ");
  const known = grants.get(name);
  if (known !== undefined) {
    return known;
  }
  const reads = permissions.filter((one) => one.endsWith(":write")).map((one) => one.replace(/write$/, "read"));
  const covered: ReadonlySet<string> = new Set([...permissions, ...reads]);
  const grant = { permissions: Object.freeze([...permissions]), covered };
  if (grants.size >= maxGrants) {
    grants.clear();
  }
  grants.set(name, grant);
  return grant;
}
