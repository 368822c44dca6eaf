import type { MessageInitShape } from "@bufbuild/protobuf";
import { type Client, ConnectError } from "@connectrpc/connect";
import type { TokenService, WatchRequestSchema, WatchResponse } from "#gen/casapay/token/v1/token_service_pb.ts";

type Event = WatchResponse["event"];

/** Where a watcher goes on: the last Lease that it was sent. */
export type Place = { readonly appliedRevision: bigint; readonly appliedHash: Uint8Array };

/** Whether the revision is applied only with another Forget. */
function hasMore(event: Event): boolean {
  return event.case === "forget" && event.value.more;
}

/** A caller of Watch. It acknowledges what it is told when the test says so, or at once. */
export class Watcher implements AsyncDisposable {
  /** All that it was told, oldest first. */
  readonly events: Event[] = [];
  /** Why its stream ended; null where it ended well. Undefined while it is open. */
  ended: ConnectError | null | undefined;
  place: Place = { appliedRevision: 0n, appliedHash: new Uint8Array() };
  #sequence = 0n;
  #applied = 0n;
  readonly #waiting: MessageInitShape<typeof WatchRequestSchema>[] = [];
  #wake = () => {};
  #isClosed = false;
  readonly #abort = new AbortController();
  readonly #reading: Promise<void>;
  readonly #acknowledges: boolean;
  readonly #renewing: NodeJS.Timeout | undefined;
  #noticed = Promise.withResolvers<void>();

  /** One that `renews` does it every 500 ms, as a gateway does. */
  constructor(
    tokens: Client<typeof TokenService>,
    options: { acknowledges?: boolean; from?: Place; renews?: boolean } = {},
  ) {
    this.#acknowledges = options.acknowledges ?? true;
    this.place = options.from ?? this.place;
    this.#applied = this.place.appliedRevision;
    this.#reading = this.#read(tokens);
    this.send({ ...this.place });
    this.#renewing = options.renews === true ? setInterval(() => this.renew(), 500) : undefined;
  }

  async #read(tokens: Client<typeof TokenService>): Promise<void> {
    try {
      for await (const { event } of tokens.watch(this.#requests(), { signal: this.#abort.signal })) {
        this.#hear(event);
      }
      this.ended = null;
    } catch (error) {
      this.ended = ConnectError.from(error);
    }
    this.#notice();
  }

  #hear(event: Event): void {
    this.events.push(event);
    if (event.case === "lease") {
      this.place = { appliedRevision: event.value.revision, appliedHash: event.value.hash };
    }
    if (event.value !== undefined && event.value.revision > this.#applied && !hasMore(event)) {
      this.#applied = event.value.revision;
    }
    if (event.case !== "lease" && this.#acknowledges && !hasMore(event)) {
      this.renew();
    }
    this.#notice();
  }

  #notice(): void {
    this.#noticed.resolve();
    this.#noticed = Promise.withResolvers();
  }

  async *#requests() {
    while (!this.#isClosed || this.#waiting.length > 0) {
      const next = this.#waiting.shift();
      if (next === undefined) {
        await new Promise<void>((resolve) => {
          this.#wake = resolve;
        });
      } else {
        yield next;
      }
    }
  }

  /** Sends a message with the next sequence, unless it says another one. */
  send(message: MessageInitShape<typeof WatchRequestSchema>): void {
    this.#sequence += 1n;
    this.#waiting.push({ sequence: this.#sequence, ...message });
    this.#wake();
  }

  /** Asks for a lease, and acknowledges all that it was told. */
  renew(facts: MessageInitShape<typeof WatchRequestSchema> = {}): void {
    this.send({ appliedRevision: this.#applied, ...facts });
  }

  release(): void {
    this.renew({ release: true });
    this.close();
  }

  /** Sends nothing more. */
  close(): void {
    clearInterval(this.#renewing);
    this.#isClosed = true;
    this.#wake();
  }

  /** Goes without a word. */
  vanish(): void {
    this.#abort.abort();
  }

  /** Resolves once it was told what passes. Rejects when its stream ends before. */
  async told(passes: (event: Event) => boolean): Promise<Event> {
    for (;;) {
      const event = this.events.find(passes);
      if (event !== undefined) {
        return event;
      }
      if (this.ended !== undefined) {
        throw this.ended ?? new Error("the stream has ended");
      }
      await this.#noticed.promise;
    }
  }

  /** Resolves once it has a lease of this revision or a later one. */
  async leased(revision = 0n): Promise<Event> {
    return await this.told((event) => event.case === "lease" && event.value.revision >= revision);
  }

  /** Why it ended, once it has. */
  async end(): Promise<ConnectError | null> {
    await this.#reading;
    return this.ended ?? null;
  }

  /** The revisions of all Forgets, in the order that they came. */
  forgotten(): number[] {
    return this.events.flatMap((event) => (event.case === "forget" ? [Number(event.value.revision)] : []));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.close();
    this.vanish();
    await this.#reading;
  }
}
