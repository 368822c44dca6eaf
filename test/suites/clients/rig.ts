import { randomBytes } from "node:crypto";
import { writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { createCertificateAuthority } from "../support/certificates.ts";

const root = resolve(import.meta.dirname, "../../..");
const roles = ["gateway", "service", "dashboard", "operator"] as const;

/**
 * What a client's tests start authorities with, named in the environment that they get:
 *
 * - AUTHORITY_RIG_NODE and AUTHORITY_RIG_MAIN: the program and its first argument. Settings go in the environment.
 * - AUTHORITY_RIG_DIRECTORY: a folder with `ca.pem`, which signed all; `server.pem` and `.key` (localhost, 127.0.0.1);
 *   `callers.json`; a pair for each role (`gateway.pem`, `gateway.key`, …), and `stranger`, whom the callers file does
 *   not name; `sealing-secret`.
 */
export type Rig = { readonly environment: Readonly<Record<string, string>> };

export function createRig(directory: string): Rig {
  const authority = createCertificateAuthority(directory);
  authority.issue("server", "DNS:localhost,IP:127.0.0.1");
  for (const name of [...roles, "stranger"]) {
    authority.issue(name, `URI:spiffe://casapay.test/${name}`);
  }
  const callers = roles.map((role) => [`spiffe://casapay.test/${role}`, role] as const);
  writeFileSync(join(directory, "callers.json"), JSON.stringify(Object.fromEntries(callers)));
  writeFileSync(join(directory, "sealing-secret"), randomBytes(32), { mode: 0o600 });
  return {
    environment: {
      AUTHORITY_RIG_NODE: process.execPath,
      AUTHORITY_RIG_MAIN: join(root, "src/main.ts"),
      AUTHORITY_RIG_DIRECTORY: directory,
    },
  };
}
