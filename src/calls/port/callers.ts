import { readFileSync } from "node:fs";
import { type Role, roles } from "../../authority/caller.ts";
import { StartError } from "../../machine/start-error.ts";
import { isIdentity } from "../../wire/tls/peer-identity.ts";
import { repeatedMember } from "../repeated-member.ts";

/** Which identity has which role. */
export type Callers = ReadonlyMap<string, Role>;

/** Reads a callers file, {"IDENTITY": "ROLE"}, or throws a StartError that says what is wrong with it. */
export function readCallers(file: string): Callers {
  let text: string;
  let content: unknown;
  try {
    // Some editors begin a file with a byte order mark.
    text = readFileSync(file, "utf8").replace(/^\uFEFF/, "");
    content = JSON.parse(text);
  } catch (error) {
    throw new StartError(`${file}: the callers file cannot be read as JSON`, { cause: error });
  }
  if (typeof content !== "object" || content === null || Array.isArray(content)) {
    throw new StartError(`${file}: the callers file must be one object: {"IDENTITY": "ROLE"}`);
  }
  const repeated = repeatedMember(text);
  if (repeated !== null) {
    throw new StartError(`${file}: ${repeated} is there twice: it must have one role`);
  }
  const entries = Object.entries(content);
  if (entries.length === 0) {
    throw new StartError(`${file}: the callers file names nobody: nobody could call`);
  }
  return new Map(entries.map(([identity, role]) => [parseIdentity(file, identity), parseRole(file, identity, role)]));
}

/** A name that no certificate can have would silently give a role to no caller. */
function parseIdentity(file: string, identity: string): string {
  if (!isIdentity(identity)) {
    throw new StartError(
      `${file}: no certificate can name ${JSON.stringify(identity.slice(0, 100))}: an identity is a SPIFFE ID with a path (spiffe://casapay/gateway), or a DNS name in lower case`,
    );
  }
  return identity;
}

function parseRole(file: string, identity: string, role: unknown): Role {
  const known = roles.find((one) => one === role);
  if (known === undefined) {
    throw new StartError(`${file}: the role of ${identity} must be one of ${roles.join(", ")}`);
  }
  return known;
}
