import { crc32 } from "node:zlib";

const digits = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/** The last six characters of a key whose first ones are these: CRC-32 in base 62, most significant digit first. */
export function checksum(text: string): string {
  let rest = crc32(text);
  let written = "";
  for (let place = 0; place < 6; place += 1) {
    written = `${digits[rest % 62]}${written}`;
    rest = Math.floor(rest / 62);
  }
  return written;
}
