import type { Decision, DecisionSource, Question, Refusal } from "../decision.ts";
import type { TokenType } from "../token.ts";
import type { Facts } from "./facts.ts";

const maxPermissions = 16;
const permissionPattern = /^[a-z][a-z0-9_]{0,62}:(?:read|write)$/;
const none: readonly never[] = Object.freeze([]);
const typesByDefault: readonly TokenType[] = ["secret", "restricted"];

/**
 * Decides as the authority would: held by `clients/vectors/decisions.json`, which its own rules write. Null where the
 * authority would answer that the question is at fault. Hot path.
 */
export function decide(facts: Facts, question: Question, source: DecisionSource): Decision | null {
  const { requiredPermissions = none, livemode, allowedTypes = none } = question;
  const look = hasForm(question)
    ? lookAt(requiredPermissions, facts.kind === "principal" ? facts.covered : null)
    : "malformed";
  if (look === "malformed") {
    return null;
  }
  if (facts.kind === "refusal") {
    const { kind, reason, missingPermissions, tokenId, account } = facts;
    return { kind, reason, missingPermissions, tokenId, account, source };
  }
  if (livemode !== undefined && livemode !== facts.livemode) {
    return refuse(facts, "LIVEMODE_MISMATCH", none, source);
  }
  if (!(allowedTypes.length === 0 ? typesByDefault : allowedTypes).includes(facts.type)) {
    return refuse(facts, "TYPE_NOT_ALLOWED", none, source);
  }
  if (look === "missing" && facts.type !== "secret") {
    const missing = requiredPermissions.filter((permission) => !facts.covered.has(permission));
    return refuse(facts, "INSUFFICIENT_PERMISSIONS", missing, source);
  }
  const { kind, tokenId, account, type, permissions, expiresAtMs } = facts;
  const expireTime = expiresAtMs === null ? null : new Date(expiresAtMs);
  return { kind, tokenId, account, type, livemode: facts.livemode, permissions, expireTime, source };
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
