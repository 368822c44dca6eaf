import { readFileSync } from "node:fs";
import { type Role, roles } from "./authority/caller.ts";
import { StartError } from "./authority/errors.ts";

/** Which identity has which role. */
export type Callers = ReadonlyMap<string, Role>;

/** Reads a callers file, {"IDENTITY": "ROLE"}, or throws a StartError that says what is wrong with it. */
export function readCallers(file: string): Callers {
  let content: unknown;
  try {
    content = JSON.parse(readFileSync(file, "utf8"));
  } catch (error) {
    throw new StartError(`${file}: the callers file cannot be read as JSON`, { cause: error });
  }
  if (typeof content !== "object" || content === null || Array.isArray(content)) {
    throw new StartError(`${file}: the callers file must be one object: {"IDENTITY": "ROLE"}`);
  }
  return new Map(Object.entries(content).map(([identity, role]) => [identity, parseRole(file, identity, role)]));
}

function parseRole(file: string, identity: string, role: unknown): Role {
  const known = roles.find((one) => one === role);
  if (known === undefined) {
    throw new StartError(`${file}: the role of ${identity} must be one of ${roles.join(", ")}`);
  }
  return known;
}
