import fc from "fast-check";
import type { Change } from "../../../src/authority/journal.ts";
import { missingPermissions } from "../../../src/authority/permission.ts";
import { answerBytes, stateOf, type Token, tokenStates, tokenTypes } from "../../../src/authority/token.ts";
import type { ChangeFilter, TokenFilter, TokenQuery, TokenStore } from "../../../src/authority/token-store.ts";
import { aNewToken, anyLimit, at, createdIn, nowMs, revokedIn, usedAt } from "./builders.ts";

const resources = ["charges", "refunds", "my_charges"] as const;
const permission = fc
  .tuple(fc.constantFrom(...resources), fc.constantFrom("read", "write"))
  .map((two) => two.join(":"));
export const account = fc.constantFrom("a", "b", "c");
const hints = ["Zz09", "zz09", "0000"] as const;
const names = ["Till 7", "till 70%", "TILL_7", "Ünï 💶", "ünï 💶"] as const;
export const callers = ["local", "spiffe://casapay/till", "tok_1"] as const;
const partsOfNames = ["till", "L 7", "%", "_", "7", "ü", "Ü", "💶", "\\", "'"] as const;
export const someTime = fc.integer({ min: nowMs - 50, max: nowMs + 50 });

/** Creates, uses and revokes tokens of every kind, and returns them oldest first. */
export async function populate(store: TokenStore): Promise<readonly Token[]> {
  const lives = fc.record({
    account,
    type: fc.constantFrom(...tokenTypes),
    livemode: fc.boolean(),
    permissions: fc.uniqueArray(permission, { minLength: 1, maxLength: 4 }),
    createdAtMs: someTime,
    ttlMs: fc.option(fc.integer({ min: 1, max: 60 })),
    usedAtMs: fc.option(someTime),
    isRevoked: fc.boolean(),
    caller: fc.constantFrom(...callers),
    name: fc.constantFrom(...names),
    keyHint: fc.constantFrom(...hints),
  });
  const tokens: Token[] = [];
  const inOrder = fc
    .sample(lives, { numRuns: 300, seed: 20_261_124 })
    .toSorted((a, b) => a.createdAtMs - b.createdAtMs);
  for (const life of inOrder) {
    const { token } = createdIn(
      await store.create(
        aNewToken({
          account: life.account,
          type: life.type,
          livemode: life.livemode,
          name: life.name,
          keyHint: life.keyHint,
          permissions: life.type === "restricted" ? life.permissions : [],
          expiresAtMs: life.ttlMs === null ? null : life.createdAtMs + life.ttlMs,
        }),
        null,
        anyLimit,
        at(life.createdAtMs, life.caller),
      ),
    );
    if (life.usedAtMs !== null) {
      await store.recordUses([{ issueRevision: token.issueRevision, usedAtMs: life.usedAtMs }]);
    }
    const revoked = life.isRevoked ? revokedIn(await store.revoke(token.id, "", at(life.createdAtMs + 1))) : null;
    tokens.push(usedAt(revoked?.token ?? token, life.usedAtMs));
  }
  return tokens;
}

export function bytesOf(tokens: readonly Token[]): number {
  return tokens.reduce((bytes, token) => bytes + answerBytes(token), 0);
}

export function queries(tokens: number): fc.Arbitrary<TokenQuery> {
  return fc.record({
    filter: fc.record({
      account: fc.option(account),
      types: fc.array(fc.constantFrom(...tokenTypes), { maxLength: 4 }),
      livemode: fc.option(fc.boolean()),
      states: fc.array(fc.constantFrom(...tokenStates), { maxLength: 4 }),
      permission: fc.option(permission),
      createdFromMs: fc.option(someTime, { freq: 2 }),
      createdBeforeMs: fc.option(someTime, { freq: 2 }),
      expiresFromMs: fc.option(someTime, { freq: 2 }),
      expiresBeforeMs: fc.option(someTime, { freq: 2 }),
      unusedSinceMs: fc.option(someTime, { freq: 2 }),
      nameContains: fc.option(fc.constantFrom(...partsOfNames), { freq: 2 }),
      keyHint: fc.option(fc.constantFrom(...hints), { freq: 2 }),
      createdBy: fc.option(fc.constantFrom(...callers), { freq: 2 }),
      held: fc.option(fc.boolean(), { freq: 1 }),
      rotating: fc.option(fc.boolean(), { freq: 1 }),
    }),
    direction: fc.constantFrom("older", "newer"),
    after: fc.option(fc.integer({ min: 0, max: 2 * tokens + 1 })),
    limit: fc.integer({ min: 1, max: 40 }),
    scanLimit: fc.oneof(fc.integer({ min: 1, max: 60 }), fc.constant(10_000)),
    maxBytes: fc.oneof(fc.integer({ min: 1, max: 10_000 }), fc.constant(1_000_000)),
    nowMs: someTime,
  });
}

/** ASCII alone: what SQLite can tell apart without a library. */
function inLowerCase(text: string): string {
  return text.replaceAll(/[A-Z]/g, (letter) => letter.toLowerCase());
}

export function inOrder(model: readonly Token[], { direction, after }: TokenQuery): readonly Token[] {
  return direction === "older"
    ? model.filter(({ createRevision }) => after === null || createRevision < after).toReversed()
    : model.filter(({ createRevision }) => after === null || createRevision > after);
}

export function passes(token: Token, filter: TokenFilter, atMs: number): boolean {
  return (
    (filter.account === null || token.account === filter.account) &&
    (filter.types.length === 0 || filter.types.includes(token.type)) &&
    (filter.livemode === null || token.livemode === filter.livemode) &&
    (filter.states.length === 0 || filter.states.includes(stateOf(token, atMs))) &&
    (filter.permission === null ||
      missingPermissions(token.type, token.permissions, [filter.permission]).length === 0) &&
    (filter.createdFromMs === null || token.createdAtMs >= filter.createdFromMs) &&
    (filter.createdBeforeMs === null || token.createdAtMs < filter.createdBeforeMs) &&
    (filter.expiresFromMs === null || (token.expiresAtMs !== null && token.expiresAtMs >= filter.expiresFromMs)) &&
    (filter.expiresBeforeMs === null || (token.expiresAtMs !== null && token.expiresAtMs < filter.expiresBeforeMs)) &&
    (filter.unusedSinceMs === null || (token.lastUsedAtMs ?? token.createdAtMs) < filter.unusedSinceMs) &&
    (filter.nameContains === null || inLowerCase(token.name).includes(inLowerCase(filter.nameContains))) &&
    (filter.keyHint === null || token.keyHint === filter.keyHint) &&
    (filter.createdBy === null || token.createdBy === filter.createdBy) &&
    filter.held !== true &&
    filter.rotating !== true
  );
}

export function passesChange(change: Change, filter: ChangeFilter): boolean {
  return (
    (filter.tokenId === null ||
      (change.subject !== null && "tokenId" in change.subject && change.subject.tokenId === filter.tokenId)) &&
    change.revision > (filter.afterRevision ?? 0) &&
    (filter.caller === null || change.caller === filter.caller) &&
    (filter.action === null || change.action === filter.action) &&
    (filter.account === null || change.account === filter.account) &&
    (filter.changedFromMs === null || change.atMs >= filter.changedFromMs) &&
    (filter.changedBeforeMs === null || change.atMs < filter.changedBeforeMs)
  );
}
