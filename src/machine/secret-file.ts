import { randomBytes } from "node:crypto";
import { existsSync } from "node:fs";
import { dirname } from "node:path";
import { createPrivateFile, readPrivateFile, syncDirectory } from "./private-file.ts";
import { StartError } from "./start-error.ts";

/** A file of random bytes that only this user can read. */
export type SecretFile = {
  readonly file: string;
  /** What is in it: "the sealing secret". */
  readonly what: string;
  readonly lengthBytes: number;
};

/** Throws a StartError when there are not so many bytes, or when others can read them. */
export function readSecretFile({ file, what, lengthBytes }: SecretFile): Uint8Array {
  const secret = readPrivateFile(file, what);
  if (secret.length !== lengthBytes) {
    throw new StartError(`${file}: ${what} must be exactly ${lengthBytes} bytes`);
  }
  return secret;
}

/** Makes the file, through to the disk, unless it is there. Throws the system's error when that cannot be done. */
export function makeSecretFile({ file, lengthBytes }: SecretFile): void {
  if (!existsSync(file)) {
    createPrivateFile(file, randomBytes(lengthBytes));
    syncDirectory(dirname(file));
  }
}
