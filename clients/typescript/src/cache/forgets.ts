/**
 * The authority's latest words of what must be forgotten, so that an answer from before such a word is not kept after
 * it. The newest are remembered; an answer from before the others, or from before anything was heard, is not kept.
 */
export class Forgets {
  readonly #maxGeneration: number;
  #young = new Map<string, number>();
  #old = new Map<string, number>();
  #youngRevision = 0;
  #oldRevision = 0;
  /** Null until something is known. */
  #floor: number | null = null;

  /** At most so many are remembered, and at least half of them. */
  constructor(max: number) {
    this.#maxGeneration = max / 2;
  }

  /** From now on every word of a change after this revision is heard. Nothing happens when that is known already. */
  begin(revision: number): void {
    this.#floor ??= revision;
  }

  /** What was remembered is no longer true: see begin. */
  end(): void {
    this.#young.clear();
    this.#old.clear();
    this.#youngRevision = 0;
    this.#oldRevision = 0;
    this.#floor = null;
  }

  /** The key with this digest. */
  key(digest: string, revision: number): void {
    this.#remember(digest, revision);
  }

  /** All keys of this account. */
  account(account: string, revision: number): void {
    this.#remember(nameOf(account), revision);
  }

  /** An answer of this revision, or of an older one, is no longer known, and nothing that is older may be kept. */
  letGo(revision: number): void {
    this.#floor = this.#floor === null ? null : Math.max(this.#floor, revision);
  }

  /** Whether an answer of this revision about the key may be kept. The account is null where none is known. */
  allow(digest: string, account: string | null, revision: number): boolean {
    return (
      this.#floor !== null &&
      revision >= this.#floor &&
      revision >= this.#latest(digest) &&
      (account === null || revision >= this.#latest(nameOf(account)))
    );
  }

  #latest(what: string): number {
    return Math.max(this.#young.get(what) ?? 0, this.#old.get(what) ?? 0);
  }

  #remember(what: string, revision: number): void {
    if (this.#young.size >= this.#maxGeneration) {
      // What is dropped counts as forgotten for every key.
      this.letGo(this.#oldRevision);
      this.#old = this.#young;
      this.#oldRevision = this.#youngRevision;
      this.#young = new Map();
      this.#youngRevision = 0;
    }
    // After a resumption an older word may come again.
    this.#young.set(what, Math.max(revision, this.#latest(what)));
    this.#youngRevision = Math.max(this.#youngRevision, revision);
  }
}

/** As no digest is. */
function nameOf(account: string): string {
  return `\0account\0${account}`;
}
