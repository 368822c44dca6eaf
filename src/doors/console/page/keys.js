// The format is that of token.proto.
const keyPattern = /(?:sk|pk|rk)_(?:live|test)_[0-9A-Za-z]{38}/g;
// Of one that was cut off where it was copied, the checksum can be computed, and a few characters more be guessed.
const cutKeyPattern = /(?:sk|pk|rk)_(?:live|test)_[0-9A-Za-z]{24}/;
const digits = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
const checksumLength = 6;

/**
 * Whether a key stands somewhere in the text, or what was one before a typing error or with its end.
 *
 * @param {string} text
 */
export function holdsKey(text) {
  return cutKeyPattern.test(text) || withoutNoise(text).search(keyPattern) >= 0;
}

/**
 * The keys in a text, each once: as they stand, or wrapped over lines, quoted or spaced out. `broken` counts what looks
 * like a key and has a wrong checksum: a character was changed, or it goes on where it was cut.
 *
 * @param {string} text
 * @returns {{ readonly keys: readonly string[], readonly broken: number }}
 */
export function findKeys(text) {
  const found = new Set([...(text.match(keyPattern) ?? []), ...(withoutNoise(text).match(keyPattern) ?? [])]);
  const keys = [...found].filter(hasChecksum);
  return { keys, broken: keys.length === 0 ? found.size : 0 };
}

/**
 * SHA-256 of a key, in base64, as FindByDigest takes it.
 *
 * @param {string} key
 */
export async function digestOf(key) {
  const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", new TextEncoder().encode(key)));
  return btoa(String.fromCharCode(...digest));
}

/** @param {string} text */
function withoutNoise(text) {
  return text.replace(/[^0-9A-Za-z_]+/g, "");
}

/** @param {string} key */
function hasChecksum(key) {
  let rest = crc32(key.slice(0, -checksumLength));
  let checksum = "";
  for (let place = 0; place < checksumLength; place += 1) {
    checksum = digits.charAt(rest % 62) + checksum;
    rest = Math.floor(rest / 62);
  }
  return key.endsWith(checksum);
}

/**
 * CRC-32 (ISO-HDLC) of ASCII text.
 *
 * @param {string} text
 */
function crc32(text) {
  let crc = 0xffffffff;
  for (let at = 0; at < text.length; at += 1) {
    crc ^= text.charCodeAt(at);
    for (let bit = 0; bit < 8; bit += 1) {
      crc = (crc >>> 1) ^ (crc & 1 ? 0xedb88320 : 0);
    }
  }
  return (crc ^ 0xffffffff) >>> 0;
}
