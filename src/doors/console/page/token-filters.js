import { dayIn, startOf } from "./days.js";

/** What the address has of a search, and how a list that was searched for is called. */
const tokenFilters = /** @type {const} */ ([
  ["account", "account"],
  ["name", "name"],
  ["permission", "permission"],
  ["hint", "hint"],
  ["state", "state"],
  ["type", "type"],
  ["mode", "mode"],
  ["held", "hold"],
  ["rotating", "rotation under way"],
  ["by", "created by"],
  ["from", "created from"],
  ["to", "created to"],
  ["expiringFrom", "expiry from"],
  ["expiring", "expiry before"],
  ["unused", "no use since"],
]);

/** @param {Readonly<Record<string, string>>} query */
export function titleOf(query) {
  const said = tokenFilters.filter(([name]) => query[name]).map(([name, words]) => `${words} ${query[name]}`);
  return said.length === 0 ? "All tokens, newest first" : `Tokens with ${said.join(", ")}`;
}

/**
 * The search as List and RevokeTokens take it. What is not asked for is left out.
 *
 * @param {Readonly<Record<string, string>>} query
 */
export function tokenFilterOf(query) {
  const all = {
    account: query.account,
    nameContains: query.name,
    permission: query.permission,
    keyHint: query.hint,
    createdBy: query.by,
    states: query.state ? [`TOKEN_STATE_${query.state.toUpperCase()}`] : null,
    types: query.type ? [`TOKEN_TYPE_${query.type.toUpperCase()}`] : null,
    livemode: query.mode ? query.mode === "live" : null,
    held: query.held ? query.held === "yes" : null,
    rotating: query.rotating ? query.rotating === "yes" : null,
    createdFrom: startOf(query.from),
    // The day that is named is one of those that are asked for.
    createdBefore: startOf(query.to, 1),
    expiresFrom: startOf(query.expiringFrom),
    expiresBefore: startOf(query.expiring),
    unusedSince: startOf(query.unused),
  };
  return Object.fromEntries(
    Object.entries(all).filter(([, value]) => value !== null && value !== undefined && value !== ""),
  );
}

/**
 * Searches that an operator makes again and again, as of today.
 *
 * @returns {readonly (readonly [words: string, query: Readonly<Record<string, string>>])[]}
 */
export function savedSearches() {
  return [
    ["Expire within 30 days", { state: "active", expiringFrom: dayIn(0), expiring: dayIn(31) }],
    ["Not used for 90 days", { state: "active", unused: dayIn(-90) }],
    ["Held", { held: "yes" }],
    ["Rotations under way", { rotating: "yes" }],
  ];
}
