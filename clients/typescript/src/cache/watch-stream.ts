import type { MessageInitShape } from "@bufbuild/protobuf";
import { durationFromMs, durationMs } from "@bufbuild/protobuf/wkt";
import type { Transport } from "@connectrpc/connect";
import {
  type Forget,
  type Lease,
  type Reset,
  TokenService,
  type WatchRequestSchema,
  type WatchResponse,
} from "../../gen/casapay/token/v1/token_service_pb.ts";
import { ConnectionLost } from "../sessions.ts";
import { type Clocks, type Moment, momentOf } from "./clocks.ts";
import type { KeyCache, Use } from "./key-cache.ts";

type Request = MessageInitShape<typeof WatchRequestSchema>;

/** Up to where a cache knows all changes, with which another stream goes on. */
export type Place = { readonly revision: bigint; readonly hash: Uint8Array };

export type WatchStreamOptions = {
  readonly transport: Transport;
  readonly cache: KeyCache;
  readonly clocks: Clocks;
  /** Null for a cache that is empty. */
  readonly from: Place | null;
  /** Told of each lease. */
  readonly onLease: () => void;
  /** Told where another stream may go on; null when from nowhere. */
  readonly onPlace: (place: Place | null) => void;
};

/** Unanswered for so long, a stream is given up. */
const maxSilentMs = 10_000;
/** As many requests may be unanswered, or wait to be sent: a renewal comes twice a second. */
const maxPending = 64;
const maxUsesPerRequest = 1_000;
const maxUseRequests = 10;
const maxAgeMs = 3_600_000;

/**
 * One stream of the authority's words of what to forget, each applied in its order and then acknowledged, and of
 * leases, each counted from before its request was made.
 */
export class WatchStream {
  readonly #options: WatchStreamOptions;
  readonly #outgoing: Request[] = [];
  readonly #abort = new AbortController();
  #wake: () => void = () => {};
  #isEnded = false;
  #isAcknowledging = false;
  #sequence = 0n;
  #applied: bigint;
  /** When the unanswered requests were made, oldest first. */
  readonly #asked = new Map<bigint, Moment>();

  constructor(options: WatchStreamOptions) {
    this.#options = options;
    this.#applied = options.from?.revision ?? 0n;
  }

  /** Resolves when the stream has ended in good order, and rejects with what ended it otherwise. */
  async run(): Promise<void> {
    const { transport, from } = this.#options;
    this.#send(from === null ? {} : { appliedHash: from.hash });
    const { signal } = this.#abort;
    const response = await transport.stream(TokenService.method.watch, signal, undefined, undefined, this.#requests());
    for await (const event of response.message) {
      this.#apply(event);
    }
  }

  /** Asks for another lease, and gives up a stream on which no answer comes. */
  renew(): void {
    const [oldest] = this.#asked.values();
    const { monotonicMs } = this.#options.clocks;
    if (oldest !== undefined && monotonicMs() - oldest.monotonicMs > maxSilentMs) {
      this.#abort.abort(new ConnectionLost(`no lease was granted within ${maxSilentMs} ms`));
      return;
    }
    this.#send();
  }

  /** Reports what was accepted from memory, together with renewals. Some may be left for the next time. */
  reportUses(): void {
    const { cache } = this.#options;
    for (let count = 0; count < maxUseRequests && cache.usedKeys > 0; count += 1) {
      this.#send({ uses: cache.takeUses(maxUsesPerRequest).map(reportOf) });
    }
  }

  /** Says that no lease of this stream is held any more, and ends it. */
  release(): void {
    if (!this.#isEnded) {
      this.#send({ release: true, uses: this.#options.cache.takeUses(maxUsesPerRequest).map(reportOf) });
      this.#isEnded = true;
      this.#wake();
    }
  }

  #send(more: Request = {}): void {
    if (this.#isEnded) {
      return;
    }
    if (this.#outgoing.length >= maxPending) {
      this.#abort.abort(new ConnectionLost("requests cannot be sent"));
      return;
    }
    this.#sequence += 1n;
    if (this.#asked.size < maxPending) {
      this.#asked.set(this.#sequence, momentOf(this.#options.clocks));
    }
    this.#outgoing.push({ sequence: this.#sequence, appliedRevision: this.#applied, ...more });
    this.#wake();
  }

  async *#requests(): AsyncGenerator<Request, void> {
    for (;;) {
      const request = this.#outgoing.shift();
      if (request !== undefined) {
        yield request;
      } else if (this.#isEnded) {
        return;
      } else {
        await new Promise<void>((resolve) => {
          this.#wake = resolve;
        });
      }
    }
  }

  #apply({ event }: WatchResponse): void {
    switch (event.case) {
      case "lease":
        this.#take(event.value);
        break;
      case "forget":
        this.#forget(event.value);
        break;
      case "reset":
        this.#reset(event.value);
        break;
      default:
        throw this.#unknown();
    }
  }

  #take({ sequence, duration, revision, hash }: Lease): void {
    const asked = this.#asked.get(sequence);
    if (asked === undefined || this.#isEnded) {
      return;
    }
    for (const earlier of this.#asked.keys()) {
      if (earlier <= sequence) {
        this.#asked.delete(earlier);
      }
    }
    const { cache, onLease, onPlace } = this.#options;
    this.#appliedUpTo(revision);
    cache.beginForgets(Number(revision));
    cache.grant(asked, duration === undefined ? 0 : durationMs(duration));
    onPlace({ revision, hash });
    onLease();
  }

  #forget({ revision, what, more }: Forget): void {
    const { cache } = this.#options;
    switch (what.case) {
      case "digest":
        cache.forgetKey(Buffer.from(what.value).toString("latin1"), Number(revision));
        break;
      case "account":
        cache.forgetAccount(what.value, Number(revision));
        break;
      default:
        throw this.#unknown();
    }
    // The others of this revision are not applied yet.
    if (!more) {
      this.#appliedUpTo(revision);
      this.#acknowledge();
    }
  }

  #reset({ revision, hash }: Reset): void {
    const { cache, onPlace } = this.#options;
    cache.forgetAll();
    cache.beginForgets(Number(revision));
    onPlace({ revision, hash });
    // Where the history is another one, its revisions may be lower.
    this.#applied = revision;
    this.#acknowledge();
  }

  /** What this version does not know may be about any key. */
  #unknown(): Error {
    this.#options.cache.forgetAll();
    this.#options.onPlace(null);
    return new Error("an event came that this version does not know");
  }

  #appliedUpTo(revision: bigint): void {
    this.#applied = revision > this.#applied ? revision : this.#applied;
  }

  /** At once, but once for all that came together. */
  #acknowledge(): void {
    if (!this.#isAcknowledging) {
      this.#isAcknowledging = true;
      setImmediate(() => {
        this.#isAcknowledging = false;
        this.#send();
      });
    }
  }
}

function reportOf({ digest, ageMs, acceptedCount }: Use) {
  return {
    digest: new Uint8Array(digest),
    age: durationFromMs(Math.min(Math.round(ageMs), maxAgeMs)),
    acceptedCount: BigInt(acceptedCount),
  };
}
