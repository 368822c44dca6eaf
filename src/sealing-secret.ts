import { randomBytes } from "node:crypto";
import { existsSync } from "node:fs";
import { dirname } from "node:path";
import type { Log } from "./machine/log.ts";
import { createPrivateFile, readPrivateFile } from "./machine/private-file.ts";
import { StartError } from "./machine/start-error.ts";
import { syncDirectory } from "./stores/sqlite/data-directory.ts";

const secretLength = 32;

/**
 * Reads the sealing secret, 32 bytes that only this user can read. With `create`, makes the file when it is not there; where that cannot be
 * done, warns and returns null.
 */
export function readSealingSecret(
  { file, create }: { readonly file: string; readonly create: boolean },
  log: Log,
): Uint8Array | null {
  if (create && !existsSync(file) && !makeSecret(file, log)) {
    return null;
  }
  const secret = readPrivateFile(file, "the sealing secret");
  if (secret.length !== secretLength) {
    throw new StartError(`${file}: the sealing secret must be exactly ${secretLength} bytes`);
  }
  return secret;
}

function makeSecret(file: string, log: Log): boolean {
  try {
    createPrivateFile(file, randomBytes(secretLength));
    syncDirectory(dirname(file));
    return true;
  } catch (error) {
    log.warn(
      { file, err: error },
      `no sealing secret could be made, so that request_id is refused: set TOKEN_AUTHORITY_SEALING_SECRET to a file of ${secretLength} random bytes`,
    );
    return false;
  }
}
