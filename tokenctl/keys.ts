import { checksum } from "../clients/typescript/src/checksum.ts";

const wholeKey = /(?<![0-9A-Za-z])(?:sk|pk|rk)_(?:live|test)_[0-9A-Za-z]{38}(?![0-9A-Za-z])/g;
/** Also of one that was cut off where it was copied: what is missing can be guessed. */
const keyOrPart = /(sk|pk|rk)_(live|test)_[0-9A-Za-z]{16,}/g;

/** All whole keys in a text, each once. */
export function keysIn(text: string): readonly string[] {
  return [...new Set(text.match(wholeKey))].filter((key) => checksum(key.slice(0, -6)) === key.slice(-6));
}

export function withoutKeys(text: string): string {
  return text.replaceAll(keyOrPart, "$1_$2_…");
}
