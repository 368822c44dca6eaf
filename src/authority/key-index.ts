import { undecided } from "./errors.ts";
import { GenerationalCache } from "./generational-cache.ts";
import { digestText, digestWord, hasKeyLength, isKey } from "./key.ts";
import { createSecondTimes } from "./second-times.ts";
import type { StoredToken } from "./token.ts";
import type { TokenStore } from "./token-store.ts";

/** A token that a key was proven to belong to, with the answer that accepting it gives. Made once for each time it is read. */
export type Principal = {
  readonly kind: "principal";
  readonly token: StoredToken;
  /** What `prepare` made of the token. */
  readonly answer: Uint8Array;
};

/** Whose key a text is, live or not; null where it is nobody's, and undefined where it is no key by its form. */
export type Found = Principal | null | undefined;

/** Who has a key, from memory where possible, and never staler than the last change that was answered. */
export type KeyIndex = {
  /** Tells whose key the text is. Throws UNDECIDED when it cannot tell. Hot path. */
  find(text: string): Found | Promise<Principal | null>;
};

export type KeyIndexOptions = {
  readonly store: Pick<TokenStore, "findByDigest" | "changeSignal" | "changesAfter" | "head">;
  /** Makes the answer that accepting a token gives; the index keeps it with the token. */
  readonly prepare: (token: StoredToken) => Uint8Array;
  /** For proven and unknown keys together: an eighth of it is for unknown ones. */
  readonly maxBytes: number;
};

// A catch-up over more changes than this would stall the requests that wait: forgetting everything is cheaper.
const maxChanges = 1000;
// About half a millisecond of reads: what is left waits for the next turn, behind requests that need none.
const maxProbesPerTurn = 64;
// Of keys that nobody has, so many fewer: whoever sends them waits for each other, and a good key's turn comes soon again.
const probesPerUnknown = 8;
const maxWaitingProbes = 10_000;
// Measured: a map's entry and a 32-character digest.
const unknownBytes = 120;
const entryBytes = 700;

/** What is kept of a key. It stands under a part of its digest, and may push out another's. */
type Kept = { readonly digest: string; readonly principal: Principal };

type Probe = {
  readonly digest: string;
  readonly resolve: (found: Principal | null | Promise<Principal | null>) => void;
  readonly reject: (error: unknown) => void;
};

/** Keeps proven keys and unknown keys apart, so that a flood of unknown ones cannot push out the proven. */
export function createKeyIndex({ store, prepare, maxBytes }: KeyIndexOptions): KeyIndex {
  // By four bytes of the digest, and compared with all of it: asked for a text, a map first looks for it among all texts that V8 knows.
  const proven = new GenerationalCache<number, Kept>((maxBytes * 7) / 8, ({ principal }) => bytesOf(principal));
  const unknown = new GenerationalCache<number, string>(maxBytes / 8, () => unknownBytes);
  const isSecondTime = createSecondTimes();
  // The signal is read first: a change between the two reads is then seen twice rather than not at all.
  let signal = store.changeSignal();
  let revision = store.head().revision;
  /** Below zero when the last one was unknown. */
  let probesLeft = maxProbesPerTurn;
  let isTurnScheduled = false;
  let waiting: Probe[] = [];

  /** Hot path. Memory is asked before the form: only keys are kept there. The length comes first, so that a hash is of little text. */
  function find(text: string): Found | Promise<Principal | null> {
    if (!hasKeyLength(text)) {
      return undefined;
    }
    catchUp();
    const digest = digestText(text);
    const known = remembered(digest);
    if (known !== undefined) {
      return known;
    }
    if (!isKey(text)) {
      return undefined;
    }
    return probesLeft > 0 && waiting.length === 0 ? probe(digest) : probeLater(digest);
  }

  /** Hot path. Undefined when it must be looked up. */
  function remembered(digest: string): Principal | null | undefined {
    const place = digestWord(digest, 0);
    const kept = proven.get(place);
    if (kept !== undefined && kept.digest === digest) {
      return kept.principal;
    }
    return unknown.get(place) === digest ? null : undefined;
  }

  /** Forgets what has changed since the last look. Hot path: one load when nothing has. */
  function catchUp(): void {
    const current = store.changeSignal();
    if (current === signal) {
      return;
    }
    const changes = store.changesAfter(revision, maxChanges);
    if (changes === null) {
      const { revision: newest } = store.head();
      proven.clear();
      unknown.clear();
      revision = newest;
    } else {
      for (const change of changes) {
        const place = digestWord(textOf(change.digest), 0);
        proven.delete(place);
        unknown.delete(place);
        revision = change.revision;
      }
    }
    signal = current;
  }

  function probe(digest: string): Principal | null | Promise<Principal | null> {
    probesLeft -= 1;
    scheduleTurn();
    const found = store.findByDigest(Buffer.from(digest, "latin1"));
    return found instanceof Promise ? settle(digest, found, signal) : remember(digest, found);
  }

  function remember(digest: string, token: StoredToken | null): Principal | null {
    if (token === null) {
      probesLeft -= probesPerUnknown - 1;
      unknown.set(digestWord(digest, 0), digest);
      return null;
    }
    const found: Principal = { kind: "principal", token, answer: prepare(token) };
    // Most keys that are asked for once are not asked for again before they are forgotten: kept, they are work for the garbage collector.
    if (isSecondTime(digest)) {
      // A copy: what is kept for long must not be a slice of Node's pool, which would keep 8 KiB alive with it.
      proven.set(digestWord(digest, 0), { digest, principal: { ...found, answer: new Uint8Array(found.answer) } });
    }
    return found;
  }

  /** A look-up that takes time may have begun before a change that was answered since: then it is made again. */
  async function settle(
    digest: string,
    lookup: Promise<StoredToken | null>,
    begunAt: number,
  ): Promise<Principal | null> {
    const token = await lookup;
    catchUp();
    if (signal === begunAt) {
      return remember(digest, token);
    }
    return settle(digest, Promise.resolve(store.findByDigest(Buffer.from(digest, "latin1"))), signal);
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
    for (const { digest, resolve, reject } of now) {
      if (probesLeft <= 0) {
        break;
      }
      answered += 1;
      try {
        catchUp();
        const known = remembered(digest);
        resolve(known === undefined ? probe(digest) : known);
      } catch (error) {
        reject(error);
      }
    }
    waiting = now.slice(answered);
    if (waiting.length > 0) {
      scheduleTurn();
    }
  }

  return { find };
}

function bytesOf({ token, answer }: Principal): number {
  const texts = token.name.length * 2 + token.permissions.join().length + token.revokeReason.length * 2;
  return entryBytes + texts + token.permissions.length * 32 + answer.byteLength;
}

function textOf(digest: Uint8Array): string {
  return Buffer.from(digest.buffer, digest.byteOffset, digest.byteLength).toString("latin1");
}
