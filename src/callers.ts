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
  let text: string;
  let content: unknown;
  try {
    text = readFileSync(file, "utf8");
    content = JSON.parse(text);
  } catch (error) {
    throw new StartError(`${file}: the callers file cannot be read as JSON`, { cause: error });
  }
  if (typeof content !== "object" || content === null || Array.isArray(content)) {
    throw new StartError(`${file}: the callers file must be one object: {"IDENTITY": "ROLE"}`);
  }
  const repeated = repeatedKey(text);
  if (repeated !== null) {
    throw new StartError(`${file}: ${repeated} is there twice: it must have one role`);
  }
  const entries = Object.entries(content);
  if (entries.length === 0) {
    throw new StartError(`${file}: the callers file names nobody: nobody could call`);
  }
  return new Map(entries.map(([identity, role]) => [identity, parseRole(file, identity, role)]));
}

/** The first key that an object has twice in JSON that parsed: JSON.parse keeps the last and says nothing. Null when there is none. */
function repeatedKey(text: string): string | null {
  const seen = new Set<string>();
  // Strings one after the other: those before a colon are keys.
  for (const [, literal = "", colon] of text.matchAll(/("(?:[^"\\]|\\.)*")(\s*:)?/g)) {
    const key: string = JSON.parse(literal);
    if (colon !== undefined && seen.has(key)) {
      return key;
    }
    if (colon !== undefined) {
      seen.add(key);
    }
  }
  return null;
}

function parseRole(file: string, identity: string, role: unknown): Role {
  const known = roles.find((one) => one === role);
  if (known === undefined) {
    throw new StartError(`${file}: the role of ${identity} must be one of ${roles.join(", ")}`);
  }
  return known;
}
