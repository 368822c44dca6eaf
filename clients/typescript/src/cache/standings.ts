import type { Standing } from "./facts.ts";

const maxShared = 256;
const maxSharedPermissions = 20;
// Measured: a text, its places in an array and in a set, and those of the permission to read that it covers.
const permissionBytes = 160;

/** Keeps what many keys have in common once. A standing that comes when there are many is kept by each key. */
export class Standings {
  readonly #shared = new Map<string, Standing>();
  readonly #all = new WeakSet<Standing>();

  /** The same, as others have it. */
  share(standing: Standing): Standing {
    const name = nameOf(standing);
    const known = this.#shared.get(name);
    if (known !== undefined) {
      return known;
    }
    if (this.#shared.size < maxShared && !(permissionsOf(standing).length > maxSharedPermissions)) {
      this.#shared.set(name, standing);
      this.#all.add(standing);
    }
    return standing;
  }

  /** What a key takes that has it. */
  bytesOf(standing: Standing): number {
    const permissions = this.#all.has(standing) ? [] : permissionsOf(standing);
    return permissions.reduce((sum, permission) => sum + permissionBytes + 2 * permission.length, 0);
  }
}

function permissionsOf(standing: Standing): readonly string[] {
  return standing.kind === "principal" ? standing.permissions : [];
}

function nameOf(standing: Standing): string {
  return standing.kind === "refusal"
    ? standing.reason
    : `${standing.type} ${standing.livemode} ${standing.permissions.join(" ")}`;
}
