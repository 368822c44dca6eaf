import { randomBytes } from "node:crypto";
import { existsSync } from "node:fs";
import { dirname } from "node:path";
import { StartError } from "./authority/errors.ts";
import { createPrivateFile, readPrivateFile } from "./authority/private-file.ts";
import { syncDirectory } from "./sqlite/data-directory.ts";

const secretLength = 32;

/** Reads the sealing secret, 32 bytes that only this user can read; with `create`, makes the file when it is not there. */
export function readSealingSecret({ file, create }: { readonly file: string; readonly create: boolean }): Uint8Array {
  if (create && !existsSync(file)) {
    createSecret(file);
  }
  const secret = readPrivateFile(file, "the sealing secret");
  if (secret.length !== secretLength) {
    throw new StartError(`${file}: the sealing secret must be exactly ${secretLength} bytes`);
  }
  return secret;
}

function createSecret(file: string): void {
  try {
    createPrivateFile(file, randomBytes(secretLength));
    syncDirectory(dirname(file));
  } catch (error) {
    const code = error instanceof Error && "code" in error ? error.code : "unknown";
    throw new StartError(
      `${file}: the sealing secret cannot be made (${code}): set TOKEN_AUTHORITY_SEALING_SECRET to a file of ${secretLength} random bytes, kept apart from the data`,
      { cause: error },
    );
  }
}
