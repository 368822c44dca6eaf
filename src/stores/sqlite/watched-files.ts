import { statSync } from "node:fs";

/** Tells a file from every other one, also from a copy of it that was given its name. */
export type FileIdentity = { readonly file: string; readonly dev: number; readonly ino: number };

/** Which file is at this path now. Throws when there is none. */
export function identify(file: string): FileIdentity {
  const { dev, ino } = statSync(file);
  return { file, dev, ino };
}

/**
 * Throws unless each file is still the one at its path. A process that goes on with a file that was moved away, removed
 * or replaced changes what nobody finds again, and a second process may have begun on what is at the path now.
 */
export function requireInPlace(files: readonly FileIdentity[]): void {
  for (const { file, dev, ino } of files) {
    const there = statSync(file, { throwIfNoEntry: false });
    if (there?.ino !== ino || there.dev !== dev) {
      throw new Error(
        `${file} was moved, removed or replaced beside the running server: what it does from now on would be lost, and another server may have begun on the same data`,
      );
    }
  }
}
