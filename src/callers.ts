import { readFileSync } from "node:fs";
import { type Role, roles } from "./authority/caller.ts";
import { StartError } from "./authority/errors.ts";
import type { Log } from "./authority/log.ts";

/** Which identity has which role, as of the last time the file could be read. */
export type Callers = {
  /** The role of an identity, or null when the file does not name it. */
  roleOf(identity: string): Role | null;
  /** Reads the file again. What cannot be used is logged, and the old roles hold. */
  reload(): void;
};

/** Reads a callers file, {"IDENTITY": "ROLE"}, or throws a StartError that says what is wrong with it. */
export function openCallers(file: string, log: Log): Callers {
  let current = readCallers(file);
  return {
    roleOf: (identity) => current.get(identity) ?? null,
    reload() {
      try {
        current = readCallers(file);
        log.info({ callers: current.size }, "the callers were reloaded");
      } catch (error) {
        log.error({ err: error }, "the callers were not reloaded: the old roles hold");
      }
    },
  };
}

function readCallers(file: string): ReadonlyMap<string, Role> {
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
