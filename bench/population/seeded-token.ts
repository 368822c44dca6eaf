import { hash } from "node:crypto";
import { crc32 } from "node:zlib";
import { keyPrefix } from "../../src/authority/key.ts";
import type { TokenType } from "../../src/authority/token.ts";

/** What decides every seeded token, so that the load can name any of them without being told. */
export type Population = {
  readonly tokens: number;
  readonly seed: string;
  /** The moment that the newest token was created, in Unix milliseconds. */
  readonly nowMs: number;
};

export type SeededToken = {
  readonly index: number;
  readonly id: string;
  readonly key: string;
  readonly account: string;
  readonly type: TokenType;
  readonly livemode: boolean;
  readonly permissions: readonly string[];
  readonly createdAtMs: number;
  readonly expiresAtMs: number | null;
  readonly isRevoked: boolean;
  readonly lastUsedAtMs: number | null;
  /** Whether Authenticate accepts the key when it is asked for nothing more. */
  readonly isAccepted: boolean;
};

export const dayMs = 24 * 60 * 60 * 1000;
const agesDays = 365;
const bigAccountTokens = 10_000;
const tokensOfSmallAccount = 20;

/** The account that has 10 000 of the tokens, or half of them when there are not as many. */
export const bigAccount = "acct_big";
/** One restricted token in 10 000 has it. */
export const rarePermission = "payouts:write";

const digits = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
const resources = ["balance", "charges", "customers", "disputes", "events", "invoices", "payment_intents", "refunds"];

/** The token at this place in the order of creation, from 0. */
export function seededToken(population: Population, index: number): SeededToken {
  const bytes = hash("sha512", `${population.seed}:${index}`, "buffer");
  const isRare = index % 10_000 === 17;
  const type = isRare ? "restricted" : typeOf(bytes.readUInt8(56));
  const livemode = bytes.readUInt8(57) < 154;
  const createdAtMs =
    population.nowMs - Math.floor((agesDays * dayMs * (population.tokens - 1 - index)) / population.tokens);
  // Of 256: 26 are revoked, 13 have expired, 51 will expire.
  const fate = bytes.readUInt8(58);
  const isRevoked = fate < 26;
  const isExpired = fate >= 26 && fate < 39;
  const isUsed = bytes.readUInt8(59) < 77;
  return {
    index,
    id: `tok_${digitsOf(bytes.subarray(32, 56))}`,
    key: keyOf(keyPrefix(type, livemode), bytes.subarray(0, 32)),
    account: accountOf(population, index, bytes.readUInt32BE(60)),
    type,
    livemode,
    permissions: isRare ? [rarePermission] : permissionsOf(type, bytes.readUInt16BE(60)),
    createdAtMs,
    expiresAtMs: isExpired ? createdAtMs + 1 : fate >= 39 && fate < 90 ? population.nowMs + dayMs * (fate - 38) : null,
    isRevoked,
    lastUsedAtMs: isUsed
      ? createdAtMs + Math.floor(((population.nowMs - createdAtMs) * bytes.readUInt8(61)) / 256)
      : null,
    isAccepted: !isRevoked && !isExpired && type !== "publishable",
  };
}

/** A token is revoked when so many more have been created. */
export const revokedAfterTokens = 1000;

/** The revision that creates the token at this place, which comes after the revocations of tokens long before it. */
export function revisionOf(population: Population, index: number): number {
  let revision = index + 1;
  for (let before = 0; before < index - 1 - revokedAfterTokens; before += 1) {
    revision += seededToken(population, before).isRevoked ? 1 : 0;
  }
  return revision;
}

/** Any token, each as likely as the other. */
export function randomToken(population: Population): SeededToken {
  return seededToken(population, Math.floor(Math.random() * population.tokens));
}

/** Any token whose key is accepted. */
export function randomAcceptedToken(population: Population): SeededToken {
  for (;;) {
    const token = randomToken(population);
    if (token.isAccepted) {
      return token;
    }
  }
}

/** The tokens that are not revoked, in order of creation, from this place on; round and round. */
export function* unrevokedTokens(population: Population, first: number): Generator<SeededToken, never> {
  for (let index = first; ; index += 1) {
    const token = seededToken(population, index % population.tokens);
    if (!token.isRevoked) {
      yield token;
    }
  }
}

/** The name of any of the small accounts. */
export function randomSmallAccount(population: Population): string {
  return `acct_${Math.floor(Math.random() * smallAccounts(population))}`;
}

function accountOf(population: Population, index: number, choice: number): string {
  const every = Math.max(2, Math.floor(population.tokens / bigAccountTokens));
  return index % every === 0 && index / every < bigAccountTokens
    ? bigAccount
    : `acct_${choice % smallAccounts(population)}`;
}

function smallAccounts({ tokens }: Population): number {
  return Math.max(1, Math.floor(tokens / tokensOfSmallAccount));
}

function typeOf(choice: number): TokenType {
  if (choice < 128) {
    return "restricted";
  }
  return choice < 205 ? "secret" : "publishable";
}

function permissionsOf(type: TokenType, choice: number): readonly string[] {
  if (type !== "restricted") {
    return [];
  }
  return Array.from({ length: 1 + (choice % 4) }, (_, place) => {
    const resource = resources[(choice + 3 * place) % resources.length];
    return `${resource}:${(choice >> (place + 4)) % 2 === 0 ? "read" : "write"}`;
  });
}

/** The authority makes keys from random bytes alone, and so has no way to make a given one. */
function keyOf(prefix: string, bytes: Uint8Array): string {
  const unchecked = prefix + digitsOf(bytes);
  let rest = crc32(unchecked);
  let checksum = "";
  while (checksum.length < 6) {
    checksum = digits.charAt(rest % 62) + checksum;
    rest = Math.floor(rest / 62);
  }
  return unchecked + checksum;
}

function digitsOf(bytes: Uint8Array): string {
  let text = "";
  for (const byte of bytes) {
    text += digits.charAt(byte % 62);
  }
  return text;
}
