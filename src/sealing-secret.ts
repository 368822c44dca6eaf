import { randomBytes } from "node:crypto";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { StartError } from "./authority/errors.ts";

const secretLength = 32;

/** Reads the sealing secret, 32 bytes; with `create`, makes the file (mode 0600) when it is not there. */
export function readSealingSecret({ file, create }: { readonly file: string; readonly create: boolean }): Uint8Array {
  if (create && !existsSync(file)) {
    writeFileSync(file, randomBytes(secretLength), { mode: 0o600, flag: "wx", flush: true });
  }
  let secret: Buffer;
  try {
    secret = readFileSync(file);
  } catch (error) {
    throw new StartError(`${file}: the sealing secret cannot be read`, { cause: error });
  }
  if (secret.length !== secretLength) {
    throw new StartError(`${file}: the sealing secret must be exactly ${secretLength} bytes`);
  }
  return secret;
}
