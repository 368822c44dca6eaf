import { digestOf, KeyCache } from "../../clients/typescript/src/cache/key-cache.ts";
import { Standings } from "../../clients/typescript/src/cache/standings.ts";
import type { Answer, LocalCache } from "./local-cache.ts";
import type { Moment, Thread } from "./simulation.ts";
import type { Change, World } from "./world.ts";

const maxBytes = [3 * 1024, 1024 * 1024, 1024 * 1024];
const cacheForMs = 3_600_000;

/** The cache of the TypeScript client. What an answer knows of is the id of its token. */
export class ProjectCache implements LocalCache {
  readonly #world: World;
  readonly #cache: KeyCache;
  readonly #standing = new Standings().accepted("secret", true, []);

  constructor(world: World, thread: Thread) {
    this.#world = world;
    this.#cache = new KeyCache(world.simulation.random.pick(maxBytes), {
      monotonicMs: () => thread.clockMs(),
      wallMs: () => thread.wallMs(),
    });
  }

  basisOf(token: number): number | null {
    const decision = this.#cache.decide(keyOf(token), {});
    return decision === null ? null : Number(decision.tokenId);
  }

  ask(token: number): (answer: Answer) => void {
    const fill = this.#cache.beginFill(keyOf(token), {});
    return ({ basis, revision }) => {
      const account = nameOf(this.#world.accountOf(token));
      const facts = { standing: this.#standing, tokenId: String(basis), account, expiresAtMs: null };
      if (fill === null) {
        this.#cache.overrule(keyOf(token));
      } else {
        this.#cache.endFill(fill, { facts, revision, cacheForMs }, {});
      }
    };
  }

  forget({ revision, token, account }: Change): void {
    if (token !== null) {
      this.#cache.forgetKey(digestOf(keyOf(token)), revision);
    }
    if (account !== null) {
      this.#cache.forgetAccount(nameOf(account), revision);
    }
  }

  reset(revision: number): void {
    this.#cache.forgetAll();
    this.#cache.beginForgets(revision);
  }

  lease(asked: Moment, durationMs: number, revision: number): void {
    this.#cache.beginForgets(revision);
    this.#cache.grant(asked, durationMs);
  }
}

function keyOf(token: number): string {
  return `key ${token}`;
}

function nameOf(account: number): string {
  return `acct_${account}`;
}
