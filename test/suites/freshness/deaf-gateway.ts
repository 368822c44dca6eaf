import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import {
  type Lease,
  TokenService,
  WatchRequestSchema,
  WatchResponseSchema,
} from "#gen/casapay/token/v1/token_service_pb.ts";
import { clientPreface, Flag, FrameType, Setting } from "../../../src/wire/http2/frame.ts";
import { lengthPrefixed, prefixBytes } from "../../../src/wire/protobuf/length-prefixed.ts";
import { data, headers, RawClient, type RawFrame, settings, settingsAck } from "../../http2/support/raw-client.ts";
import { createTokenClient, type TokenClient } from "../support/token-client.ts";
import type { Answer, Holder } from "./gateway-process.ts";

/** Room for one Lease, and for a part of the next. */
const windowBytes = 64;
/** How long it stays with a full window, past its lease. */
const lifeMs = 3000;

/** A lease, and what was kept while it lasted. */
type Held = { readonly untilMs: number; readonly revision: bigint; readonly kept: Map<string, Answer["verdict"]> };

/**
 * A gateway that takes its first Lease and then nothing more of its stream, so that the stream's window is full: it
 * learns of no change, and may decide from memory until that lease is over. Then it begins anew.
 */
export class DeafGateway implements Holder, Disposable {
  readonly #address: string;
  readonly #client: TokenClient;
  /** Questions under way: a second one about a key waits, so that the older answer is never kept over a newer one. */
  readonly #asking = new Map<string, Promise<Answer | null>>();
  #stream: RawClient | null = null;
  #held: Held | null = null;
  #onLeased: () => void = () => {};
  #life: NodeJS.Timeout | undefined;
  #isOver = false;

  /** `address` is HOST:PORT of an authority. */
  constructor(address: string) {
    this.#address = address;
    this.#client = createTokenClient(address);
    this.#live();
  }

  holder(): string {
    return "deaf";
  }

  /** Resolves with its next lease, once its window is full. */
  leased(): Promise<void> {
    return new Promise((resolve) => {
      this.#onLeased = resolve;
    });
  }

  async ask(key: string): Promise<Answer | null> {
    while (this.#asking.has(key)) {
      await this.#asking.get(key);
    }
    const held = this.#current();
    const verdict = held?.kept.get(key);
    if (verdict !== undefined) {
      return { verdict, source: "cache" };
    }
    const asking = this.#askAuthority(key, held);
    this.#asking.set(key, asking);
    const answer = await asking;
    this.#asking.delete(key);
    return answer;
  }

  [Symbol.dispose](): void {
    this.#isOver = true;
    clearTimeout(this.#life);
    this.#stream?.close();
    this.#client[Symbol.dispose]();
  }

  #current(): Held | null {
    return this.#held !== null && performance.now() < this.#held.untilMs ? this.#held : null;
  }

  async #askAuthority(key: string, held: Held | null): Promise<Answer | null> {
    try {
      const { outcome, revision } = await this.#client.call(TokenService.method.authenticate, { key, cacheRules: 1 });
      const verdict = outcome.case === "principal" ? "accept" : "refuse";
      // C1: what is older than the lease may miss a change that is told to nobody again.
      if (held !== null && revision >= held.revision) {
        held.kept.set(key, verdict);
      }
      return { verdict, source: "authority" };
    } catch {
      return { verdict: "undecided", source: "authority" };
    }
  }

  /** One life after another. One in which there is no lease to be had is spent without one. */
  #live(): void {
    this.#stream?.close();
    if (!this.#isOver) {
      this.#life = setTimeout(() => this.#live(), lifeMs);
      this.#begin().catch(() => {});
    }
  }

  async #begin(): Promise<void> {
    const stream = await RawClient.connect(Number(this.#address.split(":")[1]), first);
    this.#stream = stream;
    const askedAtMs = performance.now();
    stream.send(headers(streamId, watchFields, Flag.EndHeaders), renewal(1n, 0n));
    const { duration, revision } = await firstLease(stream);
    const untilMs = askedAtMs + Number(duration?.seconds ?? 0n) * 1000 + (duration?.nanos ?? 0) / 1e6;
    this.#held = { untilMs, revision, kept: new Map() };
    // The Leases that answer these fill the window before there is anything to forget.
    stream.send(renewal(2n, revision), renewal(3n, revision));
    await stream.until(() => stream.bodyBytes(streamId) === windowBytes);
    this.#onLeased();
  }
}

const streamId = 1;
const first = Buffer.concat([clientPreface, settings([Setting.InitialWindowSize, windowBytes]), settingsAck]);
const watchFields = [
  [":method", "POST"],
  [":scheme", "http"],
  [":authority", "localhost"],
  [":path", `/${TokenService.typeName}/${TokenService.method.watch.name}`],
  ["content-type", "application/grpc"],
  ["te", "trailers"],
] as const;

function renewal(sequence: bigint, appliedRevision: bigint): Buffer {
  const message = create(WatchRequestSchema, { sequence, appliedRevision });
  return data(streamId, lengthPrefixed(toBinary(WatchRequestSchema, message)), 0);
}

/** The first that is told on a stream, to one who knows nothing yet. */
async function firstLease(stream: RawClient): Promise<Lease> {
  const told = () => Buffer.concat(stream.frames.filter(isBody).map(({ payload }) => payload));
  const end = () => (told().length < prefixBytes ? Number.POSITIVE_INFINITY : prefixBytes + told().readUInt32BE(1));
  await stream.until(() => told().length >= end());
  const { event } = fromBinary(WatchResponseSchema, told().subarray(prefixBytes, end()));
  if (event.case !== "lease") {
    throw new Error(`a watcher was told of ${event.case} before it had a lease`);
  }
  return event.value;
}

function isBody({ type }: RawFrame): boolean {
  return type === FrameType.Data;
}
