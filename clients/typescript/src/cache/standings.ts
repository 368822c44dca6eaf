import type { Refusal } from "../decision.ts";
import type { TokenType } from "../token.ts";

/** What many keys have in common. */
export type Standing =
  | { readonly kind: "refusal"; readonly reason: Refusal["reason"] }
  | {
      readonly kind: "principal";
      readonly type: TokenType;
      readonly livemode: boolean;
      readonly permissions: readonly string[];
      /** The permissions, and those that they cover: a permission to write covers reading. */
      readonly covered: ReadonlySet<string>;
    };

const maxShared = 256;
const maxSharedPermissions = 20;
// Measured: a text, its places in an array and in a set, and those of the permission to read that it covers.
const permissionBytes = 160;

/** Keeps what many keys have in common once. When there is much of it, each key has its own. */
export class Standings {
  readonly #shared = new Map<string, Standing>();
  readonly #all = new WeakSet<Standing>();

  refused(reason: Refusal["reason"]): Standing {
    return this.#shared.get(reason) ?? this.#share(reason, { kind: "refusal", reason });
  }

  accepted(type: TokenType, livemode: boolean, permissions: readonly string[]): Standing {
    const name = `${type} ${livemode} ${permissions.join(" ")}`;
    return this.#shared.get(name) ?? this.#share(name, principal(type, livemode, permissions));
  }

  /** What a key takes that has it. */
  bytesOf(standing: Standing): number {
    const own = standing.kind === "principal" && !this.#all.has(standing) ? standing.permissions : [];
    return own.reduce((sum, permission) => sum + permissionBytes + 2 * permission.length, 0);
  }

  #share(name: string, standing: Standing): Standing {
    const isShort = standing.kind === "refusal" || standing.permissions.length <= maxSharedPermissions;
    if (isShort && this.#shared.size < maxShared) {
      this.#shared.set(name, standing);
      this.#all.add(standing);
    }
    return standing;
  }
}

function principal(type: TokenType, livemode: boolean, permissions: readonly string[]): Standing {
  const reads = permissions.filter((one) => one.endsWith(":write")).map((one) => one.replace(/write$/, "read"));
  const covered = new Set([...permissions, ...reads]);
  return { kind: "principal", type, livemode, permissions: Object.freeze([...permissions]), covered };
}
