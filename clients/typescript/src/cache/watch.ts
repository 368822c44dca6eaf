import type { Transport } from "@connectrpc/connect";
import { AuthorityError, failureOf } from "../errors.ts";
import type { Clocks } from "./clocks.ts";
import type { KeyCache } from "./key-cache.ts";
import { type Place, WatchStream } from "./watch-stream.ts";

/** Four times in a lease. */
const renewEveryMs = 500;
const reportEveryMs = 5_000;
const firstPauseMs = 10;
const longestPauseMs = 250;
/** Where asking again at once does not help: the authority is older, or the role may not watch. */
const mistakePauseMs = 10_000;

export type WatchOptions = { readonly transport: Transport; readonly cache: KeyCache; readonly clocks: Clocks };

/** Keeps a cache true: one stream at a time, and two while the next one takes over. */
export class Watch {
  readonly #options: WatchOptions;
  readonly #streams = new Set<WatchStream>();
  readonly #running = new Set<Promise<void>>();
  readonly #warned = new Set<string>();
  /** The stream that was opened last, and the one whose lease is held. */
  #newest: WatchStream | null = null;
  #holder: WatchStream | null = null;
  #place: Place | null = null;
  #pauseMs = firstPauseMs;
  #reportAtMs = 0;
  #timer: NodeJS.Timeout | null = null;
  #isTurnedAway = false;
  #fault: string | null = null;
  #isClosed = false;

  constructor(options: WatchOptions) {
    this.#options = options;
  }

  /** Begins, once. */
  start(): void {
    if (this.#timer === null && !this.#isClosed) {
      this.#timer = setInterval(() => this.#tick(), renewEveryMs).unref();
      this.#open();
    }
  }

  /** Whether the authority answers and grants nothing: it is older, or as many watch it as may. */
  get isTurnedAway(): boolean {
    return this.#isTurnedAway;
  }

  /** Why the last attempt to watch has failed, without a key; null once it came to a lease. */
  get fault(): string | null {
    return this.#fault;
  }

  /** The connection takes no new streams: another one takes over before this one ends. */
  moveOn(): void {
    if (this.#newest !== null && this.#newest === this.#holder) {
      this.#open();
    }
  }

  /** Gives the lease back, so that nobody waits for it, and forgets all. Resolves when the authority knows. */
  async close(): Promise<void> {
    this.#isClosed = true;
    clearInterval(this.#timer ?? undefined);
    this.#options.cache.endLease();
    for (const stream of this.#streams) {
      stream.release();
    }
    this.#options.cache.forgetAll();
    await Promise.all(this.#running);
  }

  #open(): void {
    if (this.#isClosed) {
      return;
    }
    const { cache } = this.#options;
    const from = this.#place?.revision === 0n ? null : this.#place;
    if (from === null) {
      // The authority will tell nothing of what was before.
      cache.forgetAll();
    }
    const stream: WatchStream = new WatchStream({
      ...this.#options,
      from,
      onLease: () => this.#hold(stream),
      onPlace: (place) => {
        this.#place = place;
      },
    });
    this.#streams.add(stream);
    this.#newest = stream;
    const running = stream
      .run()
      .then(
        () => this.#end(stream, null),
        (error: unknown) => this.#end(stream, error),
      )
      .finally(() => this.#running.delete(running));
    this.#running.add(running);
  }

  #hold(stream: WatchStream): void {
    if (this.#holder !== stream) {
      this.#holder?.release();
      this.#holder = stream;
      this.#isTurnedAway = false;
      this.#fault = null;
      this.#pauseMs = firstPauseMs;
    }
  }

  /** The lease goes on to its end: what the stream granted is still true. */
  #end(stream: WatchStream, error: unknown): void {
    this.#streams.delete(stream);
    if (this.#holder === stream) {
      this.#holder = null;
    }
    if (this.#newest !== stream || this.#isClosed) {
      return;
    }
    this.#newest = null;
    const pauseMs = this.#isMistake(error) ? mistakePauseMs : this.#pauseMs;
    this.#pauseMs = Math.min(2 * this.#pauseMs, longestPauseMs);
    // Drawn at random, so that the clients of an authority that starts again do not all come at once.
    setTimeout(() => this.#open(), pauseMs * (0.5 + Math.random() / 2)).unref();
  }

  #isMistake(error: unknown): boolean {
    this.#isTurnedAway = false;
    if (error === null) {
      return false;
    }
    const told = new AuthorityError(failureOf(error));
    this.#fault = told.message;
    this.#isTurnedAway = told.code === "RESOURCE_EXHAUSTED" || told.code === "UNIMPLEMENTED";
    const isMistake = told.isMistake || told.code === "RESOURCE_EXHAUSTED";
    if (isMistake && !this.#warned.has(told.code)) {
      this.#warned.add(told.code);
      process.emitWarning(
        `the token authority is asked about every key, because it does not let itself be watched: ${told.message}`,
      );
    }
    return isMistake;
  }

  #tick(): void {
    const { cache, clocks } = this.#options;
    // Clocks that moved apart are noticed also while nobody asks.
    cache.isHeld();
    for (const stream of this.#streams) {
      stream.renew();
    }
    const nowMs = clocks.monotonicMs();
    if (this.#holder !== null && (nowMs >= this.#reportAtMs || cache.hasManyUses)) {
      this.#holder.reportUses();
      this.#reportAtMs = cache.usedKeys === 0 ? nowMs + reportEveryMs : nowMs;
    }
  }
}
