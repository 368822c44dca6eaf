import { hash, randomBytes } from "node:crypto";
import { crc32 } from "node:zlib";
import type { TokenType } from "./token.ts";

// The format is documented for secret scanners in token.proto and locked by test vectors: it can never change.
const digits = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
const prefixLength = 8;
const bodyLength = 32;
const checksumLength = 6;
const keyLength = prefixLength + bodyLength + checksumLength;
const keyPattern = /^(?:sk|pk|rk)_(?:live|test)_[0-9A-Za-z]{38}$/;
// Also of one that was cut off where it was copied: the checksum can be computed, and a few characters more be guessed.
const keyAnywherePattern = /(?:sk|pk|rk)_(?:live|test)_[0-9A-Za-z]{24}/;

const prefixOfType = { secret: "sk", publishable: "pk", restricted: "rk" } satisfies Record<TokenType, string>;

/** The first 8 characters of a key of this type and mode. */
export function keyPrefix(type: TokenType, livemode: boolean): string {
  return `${prefixOfType[type]}_${livemode ? "live" : "test"}_`;
}

/** The last 4 characters of a key, which tell two keys apart. */
export function keyHint(key: string): string {
  return key.slice(-4);
}

/** Makes a new key, with 190 bits from the system's cryptographic random source. */
export function mintKey(type: TokenType, livemode: boolean): string {
  const unchecked = keyPrefix(type, livemode) + randomDigits(bodyLength);
  return unchecked + checksum(unchecked);
}

/** Makes a new token id, with 143 bits, unrelated to the key. */
export function mintTokenId(): string {
  return `tok_${randomDigits(24)}`;
}

/** Whether the text has the form of a token id. */
export function isTokenId(text: string): boolean {
  return /^tok_[0-9A-Za-z]{20,40}$/.test(text);
}

/** Whether the text is as long as a key. What is done next then does not depend on how much the bearer sent. */
export function hasKeyLength(text: string): boolean {
  return text.length === keyLength;
}

/** Whether the text is a key by its form and checksum. Costs no hash and no read, whatever the text. */
export function isKey(text: string): boolean {
  return hasKeyLength(text) && keyPattern.test(text) && hasChecksum(text);
}

/**
 * What is stored of a key: its SHA-256. A key has 190 random bits, so no slow hash is needed (NIST SP 800-63B 5.1.1.2).
 */
export function digestKey(key: string): Uint8Array {
  return hash("sha256", key, "buffer");
}

/** The same digest as a string of 32 characters, one for each byte: what a map can be asked for. */
export function digestText(key: string): string {
  return hash("sha256", key, "latin1");
}

/** Four bytes of such a digest, from this place on, as an integer of 32 bits: V8 keeps it without an object. */
export function digestWord(digest: string, at: number): number {
  const low = digest.charCodeAt(at) | (digest.charCodeAt(at + 1) << 8);
  return low | (digest.charCodeAt(at + 2) << 16) | (digest.charCodeAt(at + 3) << 24);
}

/** Whether a key, or what was one before a typing error or with its end, stands somewhere in the text. */
export function holdsKey(text: string): boolean {
  return keyAnywherePattern.test(text);
}

/** The same as to compare with `checksum`, without making a text of it. */
function hasChecksum(text: string): boolean {
  let rest = crc32(text.slice(0, -checksumLength));
  for (let place = keyLength - 1; place >= keyLength - checksumLength; place -= 1) {
    if (text.charCodeAt(place) !== digits.charCodeAt(rest % 62)) {
      return false;
    }
    rest = Math.floor(rest / 62);
  }
  return true;
}

function checksum(unchecked: string): string {
  let rest = crc32(unchecked);
  let text = "";
  for (let place = 0; place < checksumLength; place += 1) {
    text = digits.charAt(rest % 62) + text;
    rest = Math.floor(rest / 62);
  }
  return text;
}

function randomDigits(length: number): string {
  let text = "";
  while (text.length < length) {
    for (const byte of randomBytes(length - text.length)) {
      // 248 is the greatest multiple of 62 in a byte: taking more would favour the first digits.
      if (byte < 248) {
        text += digits.charAt(byte % 62);
      }
    }
  }
  return text;
}
