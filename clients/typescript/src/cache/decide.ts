import type { Decision, DecisionSource, Question, Refusal } from "../decision.ts";
import type { TokenType } from "../token.ts";
import type { Facts } from "./facts.ts";

/** The version of the rules here, by which the authority knows whether its answers may be kept. */
export const cacheRules = 1;

const maxPermissions = 16;
const permissionPattern = /^[a-z][a-z0-9_]{0,62}:(?:read|write)$/;
const none: readonly never[] = Object.freeze([]);
const typesByDefault: readonly TokenType[] = ["secret", "restricted"];

/**
 * Decides as the authority would: held by `clients/vectors/decisions.json`, which its own rules write. Null where the
 * authority would answer that the question is at fault. Hot path.
 */
export function decide(facts: Facts, question: Question, source: DecisionSource): Decision | null {
  const { standing, tokenId, account } = facts;
  const { requiredPermissions = none, livemode, allowedTypes = none } = question;
  const covered = standing.kind === "principal" ? standing.covered : null;
  const look = hasForm(question) ? lookAt(requiredPermissions, covered) : "malformed";
  if (look === "malformed") {
    return null;
  }
  if (standing.kind === "refusal") {
    return { kind: "refusal", reason: standing.reason, missingPermissions: none, tokenId, account, source };
  }
  if (livemode !== undefined && livemode !== standing.livemode) {
    return refuse(facts, "LIVEMODE_MISMATCH", none, source);
  }
  if (!(allowedTypes.length === 0 ? typesByDefault : allowedTypes).includes(standing.type)) {
    return refuse(facts, "TYPE_NOT_ALLOWED", none, source);
  }
  if (look === "missing" && standing.type !== "secret") {
    const missing = requiredPermissions.filter((permission) => !standing.covered.has(permission));
    return refuse(facts, "INSUFFICIENT_PERMISSIONS", missing, source);
  }
  const { kind, type, permissions } = standing;
  const expireTime = facts.expiresAtMs === null ? null : new Date(facts.expiresAtMs);
  return {
    kind,
    tokenId: tokenId ?? "",
    account: account ?? "",
    type,
    livemode: standing.livemode,
    permissions,
    expireTime,
    source,
  };
}

/** Whether the authority would decide on it, and not answer that the question is at fault. */
export function isDecidable(question: Question): boolean {
  return hasForm(question) && lookAt(question.requiredPermissions ?? none, null) !== "malformed";
}

function hasForm({ requiredPermissions = none, livemode, allowedTypes = none }: Question): boolean {
  return (
    (livemode === undefined || typeof livemode === "boolean") &&
    Array.isArray(allowedTypes) &&
    (allowedTypes.length === 0 || allowedTypes.every(isType)) &&
    Array.isArray(requiredPermissions) &&
    requiredPermissions.length <= maxPermissions
  );
}

function isType(type: unknown): boolean {
  return type === "secret" || type === "publishable" || type === "restricted";
}

/** What is covered is well-formed too, so that only the rest must be looked at. Hot path. */
function lookAt(
  permissions: readonly unknown[],
  covered: ReadonlySet<unknown> | null,
): "covered" | "missing" | "malformed" {
  let look: "covered" | "missing" = "covered";
  for (const permission of permissions) {
    if (covered === null || !covered.has(permission)) {
      if (typeof permission !== "string" || !permissionPattern.test(permission)) {
        return "malformed";
      }
      look = "missing";
    }
  }
  return look;
}

function refuse(
  { tokenId, account }: Facts,
  reason: Refusal["reason"],
  missingPermissions: readonly string[],
  source: DecisionSource,
): Refusal {
  return { kind: "refusal", reason, missingPermissions, tokenId, account, source };
}
