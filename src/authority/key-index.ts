import { undecided } from "./errors.ts";
import type { Freshness } from "./freshness.ts";
import { GenerationalCache } from "./generational-cache.ts";
import { digestText, digestWord, hasKeyLength, isKey } from "./key.ts";
import { createSecondTimes } from "./second-times.ts";
import type { StoredToken } from "./token.ts";
import type { TokenReads } from "./token-store.ts";

/** A token that a key was proven to belong to. Made once for each time it is read. */
export type Principal = {
  readonly kind: "principal";
  readonly token: StoredToken;
  /** Whether the key's next time finds the same principal: then what is made of the token is worth keeping. */
  readonly isRemembered: boolean;
  /** What its finder keeps beside it, for as long as it is remembered. Null at first; nothing here looks at it. */
  beside: object | null;
};

/** Whose key a text is, live or not; null for an unknown key, and undefined for a text without the form of a key. */
export type Found = Principal | null | undefined;

/** Who has a key, from memory where possible, and never staler than the last change that was answered. */
export type KeyIndex = {
  /** Tells whose key the text is. Throws UNDECIDED when it cannot tell. Hot path. */
  find(text: string): Found | Promise<Principal | null>;

  /** Returns a revision: what is found from now on has every change up to there, and every change that was answered. */
  reach(): number;
};

export type KeyIndexOptions = {
  /** Says when what was found before may still be answered. */
  readonly freshness: Freshness;
  readonly findByDigest: TokenReads["findByDigest"];
  /** For proven and unknown keys together: an eighth of it is for unknown ones. */
  readonly maxBytes: number;
};

// A catch-up over more changes than this would stall the requests that wait: forgetting everything is cheaper.
const maxChanges = 1000;
// About half a millisecond of reads: what is left waits for the next turn, behind requests that need none.
const maxProbesPerTurn = 64;
// An unknown key costs this many look-ups of a turn, so that a flood of unknown keys delays itself and not good keys.
const probesPerUnknown = 8;
const maxWaitingProbes = 10_000;
// Measured: a map's entry and a 32-character digest.
const unknownBytes = 120;
// Includes an answer that is kept beside the principal, without the token's texts in it.
const entryBytes = 750;

/** What is kept of a key. It stands under a part of its digest, and may push out another's. */
type Kept = { readonly digest: string; readonly principal: Principal };

const notYet = Promise.resolve(null);

/** A look-up in the store that is under way. */
type LookUp = {
  /** Whether the token may have changed since the look-up began. */
  isOvertaken: boolean;
  found: Promise<Principal | null>;
};

type Probe = {
  readonly digest: string;
  readonly resolve: (found: Principal | null | Promise<Principal | null>) => void;
  readonly reject: (error: unknown) => void;
};

/** Keeps proven keys and unknown keys apart, so that a flood of unknown ones cannot push out the proven. */
export function createKeyIndex({ freshness, findByDigest, maxBytes }: KeyIndexOptions): KeyIndex {
  // By four bytes of the digest, and compared with all of it: asked for a text, a map first looks for it among all
  // texts that V8 knows.
  const proven = new GenerationalCache<number, Kept>((maxBytes * 7) / 8, ({ principal }) => bytesOf(principal.token));
  const unknown = new GenerationalCache<number, string>(maxBytes / 8, () => unknownBytes);
  const isSecondTime = createSecondTimes(maxBytes);
  /** By digest: a key that many ask for at once is looked up once. */
  const underWay = new Map<string, LookUp>();
  /** What is remembered has every change up to here. */
  let mark = freshness.mark();
  /** Below zero when the last one was unknown. */
  let probesLeft = maxProbesPerTurn;
  let isTurnScheduled = false;
  let waiting: Probe[] = [];

  /**
   * Memory is asked before the form: only keys are kept there. The length comes first, so that a hash is of
   * little text.
   */
  function find(text: string): Found | Promise<Principal | null> {
    if (!hasKeyLength(text)) {
      return undefined;
    }
    const isFresh = isCaughtUp();
    const digest = digestText(text);
    const known = isFresh ? remembered(digest) : undefined;
    if (known !== undefined) {
      return known;
    }
    if (!isKey(text)) {
      return undefined;
    }
    return isFresh && probesLeft > 0 && waiting.length === 0 ? probe(digest) : probeLater(digest);
  }

  /** Undefined when it must be looked up. */
  function remembered(digest: string): Principal | null | undefined {
    const place = digestWord(digest, 0);
    const kept = proven.get(place);
    if (kept !== undefined && kept.digest === digest) {
      return kept.principal;
    }
    return unknown.get(place) === digest ? null : undefined;
  }

  /** Whether memory may be decided from. One load when nothing has changed. */
  function isCaughtUp(): boolean {
    return freshness.isFresh(mark) || catchUp();
  }

  /**
   * Forgets what has changed since the mark. False when the store cannot tell, or something else has changed meanwhile.
   */
  function catchUp(): boolean {
    const since = freshness.changesSince(mark, maxChanges);
    if (since.changes === null) {
      forget(null);
    } else {
      for (const { digests } of since.changes) {
        forget(digests);
      }
    }
    mark = since.mark;
    return freshness.isFresh(mark);
  }

  /** Null stands for the keys of an account, which are not kept by account: then everything is forgotten. */
  function forget(digests: readonly Uint8Array[] | null): void {
    if (digests === null) {
      proven.clear();
      unknown.clear();
      for (const lookUp of underWay.values()) {
        lookUp.isOvertaken = true;
      }
      return;
    }
    for (const bytes of digests) {
      const digest = textOf(bytes);
      const place = digestWord(digest, 0);
      proven.delete(place);
      unknown.delete(place);
      const lookUp = underWay.get(digest);
      if (lookUp !== undefined) {
        lookUp.isOvertaken = true;
      }
    }
  }

  /** Only while memory is caught up. */
  function probe(digest: string): Principal | null | Promise<Principal | null> {
    const same = underWay.get(digest);
    if (same !== undefined) {
      return same.found;
    }
    probesLeft -= 1;
    scheduleTurn();
    const token = findByDigest(Buffer.from(digest, "latin1"));
    return token instanceof Promise ? lookUpIn(digest, token) : remember(digest, token);
  }

  function lookUpIn(digest: string, token: Promise<StoredToken | null>): Promise<Principal | null> {
    const lookUp: LookUp = { isOvertaken: false, found: notYet };
    lookUp.found = settle(digest, token, lookUp);
    underWay.set(digest, lookUp);
    return lookUp.found;
  }

  function remember(digest: string, token: StoredToken | null): Principal | null {
    if (token === null) {
      probesLeft -= probesPerUnknown - 1;
      unknown.set(digestWord(digest, 0), digest);
      return null;
    }
    // Most keys that are asked for once are not asked for again before they are forgotten: kept, they are work for the
    // garbage collector.
    const principal: Principal = { kind: "principal", token, isRemembered: isSecondTime(digest), beside: null };
    if (principal.isRemembered) {
      proven.set(digestWord(digest, 0), { digest, principal });
    }
    return principal;
  }

  /**
   * A look-up that takes time may have begun before a change of its token that counts since: then it is made again.
   * Changes of other tokens, however many, keep nobody waiting.
   */
  async function settle(digest: string, first: Promise<StoredToken | null>, lookUp: LookUp): Promise<Principal | null> {
    try {
      for (let token = await first; ; token = await findByDigest(Buffer.from(digest, "latin1"))) {
        while (!isCaughtUp() || freshness.isPastLease()) {
          await freshness.untilFresh();
        }
        if (!lookUp.isOvertaken) {
          return remember(digest, token);
        }
        lookUp.isOvertaken = false;
      }
    } finally {
      underWay.delete(digest);
    }
  }

  function probeLater(digest: string): Promise<Principal | null> {
    if (waiting.length >= maxWaitingProbes) {
      throw undecided(new Error("too many keys wait to be looked up"));
    }
    scheduleTurn();
    return new Promise((resolve, reject) => waiting.push({ digest, resolve, reject }));
  }

  function scheduleTurn(): void {
    if (!isTurnScheduled) {
      isTurnScheduled = true;
      setImmediate(beginTurn);
    }
  }

  function beginTurn(): void {
    isTurnScheduled = false;
    probesLeft = maxProbesPerTurn;
    const now = waiting;
    waiting = [];
    let answered = 0;
    let isFresh = true;
    for (const { digest, resolve, reject } of now) {
      if (probesLeft <= 0) {
        break;
      }
      try {
        isFresh = isCaughtUp();
        if (!isFresh) {
          break;
        }
        const known = remembered(digest);
        resolve(known === undefined ? probe(digest) : known);
      } catch (error) {
        reject(error);
      }
      answered += 1;
    }
    waiting = now.slice(answered);
    if (!isFresh) {
      void waitUntilFresh();
    } else if (waiting.length > 0) {
      scheduleTurn();
    }
  }

  /**
   * Those that wait have their turn when the store can tell again what has changed. When it cannot soon, they are given
   * up.
   */
  async function waitUntilFresh(): Promise<void> {
    isTurnScheduled = true;
    try {
      await freshness.untilFresh();
      setImmediate(beginTurn);
    } catch (error) {
      isTurnScheduled = false;
      for (const { reject } of waiting.splice(0)) {
        reject(error);
      }
    }
  }

  return {
    find,
    reach() {
      isCaughtUp();
      return mark.revision;
    },
  };
}

function bytesOf(token: StoredToken): number {
  const permissions = token.permissions.join().length;
  const texts = token.name.length * 2 + permissions + token.revokeReason.length * 2;
  const answer = token.account.length + permissions;
  return entryBytes + texts + token.permissions.length * 32 + answer;
}

function textOf(digest: Uint8Array): string {
  return Buffer.from(digest.buffer, digest.byteOffset, digest.byteLength).toString("latin1");
}
