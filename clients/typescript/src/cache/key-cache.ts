import { hash } from "node:crypto";
import type { Decision, Question } from "../decision.ts";
import type { Clocks, Moment } from "./clocks.ts";
import { decide, isDecidable } from "./decide.ts";
import type { Answer, Facts } from "./facts.ts";
import { Forgets } from "./forgets.ts";
import { KeptKeys } from "./kept-keys.ts";
import type { Known } from "./known.ts";
import { Lease } from "./lease.ts";
import { type Standing, Standings } from "./standings.ts";

/** No key is longer, by far. */
const maxKeyLength = 512;
const maxUnknownMs = 5_000;
const maxForgets = 65_536;
/** Uses that were not reported yet are kept for so many keys, and then lost. */
const maxUsedKeys = 65_536;

/** A question about a key that was put to the authority so that its answer may be kept. */
export type Fill = {
  readonly digest: string;
  readonly begunAtMs: number;
  /** What was begun before everything was forgotten, or overruled, is not kept after it. */
  readonly epoch: number;
};

/** Accepted by this client itself, without the authority. */
export type Use = { readonly digest: Uint8Array; readonly ageMs: number; readonly acceptedCount: number };

/**
 * Decisions from memory, which are true as long as a lease is held and every word of the authority is applied in order.
 * Proven keys and unknown ones are kept apart, so that a flood of unknown keys pushes out no other.
 */
export class KeyCache {
  /** What the facts that are kept here have in common. */
  readonly standings = new Standings();
  readonly #clocks: Clocks;
  readonly #lease = new Lease();
  readonly #forgets = new Forgets(maxForgets);
  readonly #proven: KeptKeys;
  readonly #unknown: KeptKeys;
  #epoch = 0;
  /** Of all that was kept. */
  #newestRevision = 0;
  #used: Known[] = [];

  /** `besideBytes` is what a key's finder keeps beside it, for as long as the key is found again and again. */
  constructor(maxBytes: number, clocks: Clocks, besideBytes = 0) {
    this.#clocks = clocks;
    const bytesOf = (standing: Standing) => this.standings.bytesOf(standing);
    const onLetGo = () => this.#forgets.letGo(this.#newestRevision);
    this.#proven = new KeptKeys({ maxBytes: (maxBytes * 7) / 8, besideBytes, bytesOf, onLetGo });
    this.#unknown = new KeptKeys({ maxBytes: maxBytes / 8, besideBytes, bytesOf, onLetGo });
  }

  /** Null when the authority must be asked. Hot path. */
  decide(key: unknown, question: Question): Decision | null {
    const found = this.find(key);
    if (found === null) {
      return null;
    }
    const decision = decide(found, question, "cache");
    if (decision?.kind === "principal") {
      this.noteUse(found);
    }
    return decision;
  }

  /** What is known of the key without the authority, or null. Hot path. */
  find(key: unknown): Known | null {
    if (typeof key !== "string" || key.length > maxKeyLength) {
      return null;
    }
    const nowMs = this.#clocks.monotonicMs();
    if (!this.#isHeldAt(nowMs)) {
      return null;
    }
    const found = this.#entryOf(digestOf(key));
    return found === null || nowMs >= found.untilMs ? null : found;
  }

  /** What is kept of the key with this digest, for however long it may be. Hot path. */
  #entryOf(digest: string): Known | null {
    return this.#proven.get(digest) ?? this.#unknown.get(digest);
  }

  /** Whether memory may be decided from. */
  isHeld(): boolean {
    return this.#isHeldAt(this.#clocks.monotonicMs());
  }

  #isHeldAt(nowMs: number): boolean {
    const state = this.#lease.state(nowMs, this.#clocks.wallMs());
    if (state === "moved") {
      // How long entries were kept is not known any more either.
      this.forgetAll();
    }
    return state === "held";
  }

  /** Null when the answer could not be kept, or the question is not one to decide here: then ask it as it is. */
  beginFill(key: string, question: Question = {}): Fill | null {
    return isDecidable(question) && this.isHeld()
      ? { digest: digestOf(key), begunAtMs: this.#clocks.monotonicMs(), epoch: this.#epoch }
      : null;
  }

  /** Decides by the answer to the widest question, and keeps the answer where that is right. */
  endFill(fill: Fill, answer: Answer, question: Question): Decision | null {
    const known = this.keep(fill, answer);
    const decision = decide(known, question, "authority");
    if (decision?.kind === "principal") {
      // The authority notes no use of a key when it is asked the widest question.
      this.noteUse(known);
    }
    return decision;
  }

  /** Keeps the answer to the widest question where that is right, and returns what is known of the key then. */
  keep({ digest, begunAtMs, epoch }: Fill, { facts, revision, cacheForMs }: Answer): Known {
    const mostMs = isProven(facts) ? Number.POSITIVE_INFINITY : maxUnknownMs;
    const known: Known = {
      digest,
      revision,
      standing: facts.standing,
      tokenId: facts.tokenId,
      account: facts.account,
      expiresAtMs: facts.expiresAtMs,
      untilMs: Math.floor(begunAtMs + Math.min(cacheForMs ?? 0, mostMs)),
      acceptedCount: 0,
      usedAtMs: 0,
      beside: null,
    };
    const kept = this.#entryOf(digest);
    if (kept !== null && kept.revision > revision) {
      return this.#clocks.monotonicMs() < kept.untilMs ? kept : known;
    }
    if (cacheForMs !== null && epoch === this.#epoch && this.#forgets.allow(digest, known.account, revision)) {
      this.#keep(known);
    } else {
      // It is given all the same, and nothing that is older may be given after it.
      this.forgetKey(digest, revision);
    }
    return known;
  }

  /**
   * The authority answered a question about the key as it is, by which revision nobody knows. What is kept of the key
   * may be older, and so may be what is under way.
   */
  overrule(key: string): void {
    this.#drop(digestOf(key), Number.POSITIVE_INFINITY);
    this.#epoch += 1;
  }

  /** Notes that the key was accepted by what is known, for the next report. */
  noteUse(known: Known): void {
    if (known.acceptedCount === 0) {
      if (this.#used.length >= maxUsedKeys) {
        return;
      }
      this.#used.push(known);
    }
    known.acceptedCount += 1;
    known.usedAtMs = Math.floor(this.#clocks.monotonicMs());
  }

  /** For how long memory may be decided from, in milliseconds; 0 when not now. */
  heldForMs(): number {
    return this.isHeld() ? this.#lease.leftMs(this.#clocks.monotonicMs()) : 0;
  }

  /** From now on every change after this revision is told. Says something new only once after all was forgotten. */
  beginForgets(revision: number): void {
    this.#forgets.begin(revision);
  }

  /** `asked` is from before the request was sent that the authority grants. */
  grant(asked: Moment, durationMs: number): void {
    this.#lease.grant(asked, durationMs);
  }

  /** Gives the lease up. */
  endLease(): void {
    this.#lease.end();
  }

  /** A change after which the key with this digest may be decided on differently. */
  forgetKey(digest: string, revision: number): void {
    this.#forgets.key(digest, revision);
    this.#drop(digest, revision);
  }

  /** A change after which every key of this account may be decided on differently. */
  forgetAccount(account: string, revision: number): void {
    this.#forgets.account(account, revision);
    this.#proven.deleteAccount(account, revision);
  }

  /** Gives up the lease and all that is kept. Nothing is kept again before `beginForgets`. */
  forgetAll(): void {
    this.#lease.end();
    this.#forgets.end();
    this.#proven.clear();
    this.#unknown.clear();
    this.#newestRevision = 0;
    this.#epoch += 1;
  }

  /** The uses since the last time, of at most so many keys. */
  takeUses(max: number): readonly Use[] {
    const nowMs = this.#clocks.monotonicMs();
    return this.#used.splice(0, max).map((entry) => {
      const { digest, usedAtMs, acceptedCount } = entry;
      entry.acceptedCount = 0;
      return { digest: Buffer.from(digest, "latin1"), ageMs: Math.max(nowMs - usedAtMs, 0), acceptedCount };
    });
  }

  /** How many keys have uses to report. */
  get usedKeys(): number {
    return this.#used.length;
  }

  /** Whether uses should be reported before they are lost. */
  get hasManyUses(): boolean {
    return this.#used.length > maxUsedKeys / 2;
  }

  /** How many keys are kept. */
  get size(): number {
    return this.#proven.size + this.#unknown.size;
  }

  #keep(known: Known): void {
    const [into, other] = isProven(known) ? [this.#proven, this.#unknown] : [this.#unknown, this.#proven];
    other.delete(known.digest, Number.POSITIVE_INFINITY);
    this.#newestRevision = Math.max(this.#newestRevision, known.revision);
    into.set(known);
  }

  /** Drops what is older: what is not knows of the change. */
  #drop(digest: string, revision: number): void {
    this.#proven.delete(digest, revision);
    this.#unknown.delete(digest, revision);
  }
}

/** As kept: a text is hashed as its UTF-8, which is itself for a key. */
export function digestOf(key: string): string {
  return hash("sha256", key, "latin1");
}

/** A token has this key, dead or alive. */
function isProven({ tokenId }: Facts): boolean {
  return tokenId !== null;
}
