import { readFileSync } from "node:fs";
import { resolve } from "node:path";

/** One row of `clients/vectors/credentials.json`, which all readers of credentials answer alike. */
export type CredentialVector = {
  readonly name: string;
  readonly authorization: readonly string[];
  readonly x_api_key: readonly string[];
  readonly presents: string | { readonly conflict: true } | null;
};

const file = resolve(import.meta.dirname, "../../clients/vectors/credentials.json");

export const credentialVectors: readonly CredentialVector[] = JSON.parse(readFileSync(file, "utf8")).vectors;
