import type { MessageInitShape } from "@bufbuild/protobuf";
import { durationFromMs } from "@bufbuild/protobuf/wkt";
import { createRouterTransport, type Transport } from "@connectrpc/connect";
import { beforeEach, describe, expect, it } from "vitest";
import {
  TokenService,
  type WatchRequest,
  type WatchResponseSchema,
} from "../../gen/casapay/token/v1/token_service_pb.ts";
import { digestOf, KeyCache } from "../../src/cache/key-cache.ts";
import { Watch } from "../../src/cache/watch.ts";
import { type Place, WatchStream } from "../../src/cache/watch-stream.ts";

type Event = NonNullable<MessageInitShape<typeof WatchResponseSchema>["event"]>;

const key = "rk_live_one";
const hash = new Uint8Array(32).fill(7);

let clocks: { monotonicMs: () => number; wallMs: () => number };
let nowMs: number;
let cache: KeyCache;

beforeEach(() => {
  nowMs = 1_000;
  clocks = { monotonicMs: () => nowMs, wallMs: () => nowMs + 1e12 };
  cache = new KeyCache(2 ** 20, clocks);
});

/** A queue that is read as it fills. */
class Lane<Item> implements AsyncIterable<Item> {
  readonly #items: Item[] = [];
  #wake: () => void = () => {};
  #isEnded = false;

  put(item: Item): void {
    this.#items.push(item);
    this.#wake();
  }

  end(): void {
    this.#isEnded = true;
    this.#wake();
  }

  async next(): Promise<Item | null> {
    while (this.#items.length === 0 && !this.#isEnded) {
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
    return this.#items.shift() ?? null;
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<Item, void> {
    for (let item = await this.next(); item !== null; item = await this.next()) {
      yield item;
    }
  }
}

/** The authority's side of one stream. */
type Peer = { readonly requests: Lane<WatchRequest>; readonly events: Lane<Event> };

/** An authority whose streams are answered by hand. */
function byHand(): { readonly transport: Transport; readonly peers: Lane<Peer> } {
  const peers = new Lane<Peer>();
  const transport = createRouterTransport(({ service }) =>
    service(TokenService, {
      async *watch(requests) {
        const peer: Peer = { requests: new Lane(), events: new Lane() };
        peers.put(peer);
        void (async () => {
          for await (const request of requests) {
            peer.requests.put(request);
          }
          peer.requests.end();
        })();
        for await (const event of peer.events) {
          yield { event };
        }
      },
    }),
  );
  return { transport, peers };
}

function lease(sequence: bigint, revision: bigint): Event {
  return { case: "lease", value: { sequence, revision, hash, duration: durationFromMs(2_000) } };
}

function forget(text: string, revision: bigint, more = false): Event {
  const digest = new Uint8Array(Buffer.from(digestOf(text), "latin1"));
  return { case: "forget", value: { revision, what: { case: "digest", value: digest }, more } };
}

async function next<Item>(lane: Lane<Item>): Promise<Item> {
  const item = await lane.next();
  if (item === null) {
    throw new Error("it has ended");
  }
  return item;
}

function fill(text: string, revision: number): void {
  const begun = cache.beginFill(text, {});
  const whose = { tokenId: "tok_1", account: "acct_1" };
  const facts = { standing: { kind: "refusal", reason: "TOKEN_REVOKED" }, expiresAtMs: null, ...whose } as const;
  if (begun === null) {
    throw new Error("no lease is held");
  }
  cache.endFill(begun, { facts, revision, cacheForMs: 3_600_000 }, {});
}

const isKept = (text: string) => cache.decide(text, {}) !== null;

describe("a stream", () => {
  let places: (Place | null)[];
  let stream: WatchStream;
  let ended: Promise<unknown>;
  let peer: Peer;

  async function open(from: Place | null): Promise<void> {
    const { transport, peers } = byHand();
    places = [];
    stream = new WatchStream({ transport, cache, clocks, from, onLease: () => {}, onPlace: (at) => places.push(at) });
    ended = stream.run().catch((error: unknown) => error);
    peer = await next(peers);
  }

  /** Resolves when the events before it are applied. */
  async function granted(sequence: bigint, revision: bigint): Promise<void> {
    const count = places.length;
    peer.events.put(lease(sequence, revision));
    await expect.poll(() => places.length).toBe(count + 1);
  }

  it("counts a lease from before the request that it answers", async () => {
    await open(null);
    expect(await next(peer.requests)).toMatchObject({ sequence: 1n, appliedRevision: 0n });
    nowMs += 500;
    stream.renew();
    expect(await next(peer.requests)).toMatchObject({ sequence: 2n });
    nowMs += 1_400;
    await granted(1n, 10n);
    expect(cache.isHeld()).toBe(true);
    nowMs += 100;
    expect(cache.isHeld()).toBe(false);
    await granted(2n, 10n);
    nowMs += 499;
    expect(cache.isHeld()).toBe(true);
    nowMs += 1;
    expect(cache.isHeld()).toBe(false);
  });

  it("takes no lease for a request that it did not make, or twice", async () => {
    await open(null);
    await granted(1n, 10n);
    nowMs += 1_999;
    peer.events.put(lease(1n, 10n));
    peer.events.put(lease(9n, 10n));
    peer.events.put(forget(key, 11n));
    await next(peer.requests);
    await next(peer.requests);
    nowMs += 1;
    expect(cache.isHeld()).toBe(false);
  });

  it("acknowledges what it has applied, at once", async () => {
    await open(null);
    await granted(1n, 10n);
    fill(key, 10);
    await next(peer.requests);
    peer.events.put(forget(key, 12n));
    expect(await next(peer.requests)).toMatchObject({ sequence: 2n, appliedRevision: 12n });
    expect(isKept(key)).toBe(false);
  });

  it("acknowledges a change of several keys when the last of them is forgotten", async () => {
    await open(null);
    await granted(1n, 10n);
    fill(key, 10);
    fill("another", 10);
    await next(peer.requests);
    peer.events.put(forget("another", 12n, true));
    await expect.poll(() => isKept("another")).toBe(false);
    stream.renew();
    expect(await next(peer.requests)).toMatchObject({ sequence: 2n, appliedRevision: 10n });
    expect(isKept(key)).toBe(true);
    peer.events.put(forget(key, 12n));
    expect(await next(peer.requests)).toMatchObject({ sequence: 3n, appliedRevision: 12n });
    expect(isKept(key)).toBe(false);
  });

  it("forgets everything when it is told to, and then says where it goes on", async () => {
    await open({ revision: 40n, hash });
    expect(await next(peer.requests)).toMatchObject({ appliedRevision: 40n, appliedHash: hash });
    await granted(1n, 40n);
    fill(key, 40);
    const other = new Uint8Array(32).fill(9);
    peer.events.put({ case: "reset", value: { revision: 3n, hash: other } });
    // The history is another one: its revisions may be lower.
    expect(await next(peer.requests)).toMatchObject({ sequence: 2n, appliedRevision: 3n });
    expect([cache.isHeld(), places.at(-1)]).toEqual([false, { revision: 3n, hash: other }]);
    await granted(2n, 3n);
    expect(isKept(key)).toBe(false);
    fill(key, 3);
    expect(isKept(key)).toBe(true);
  });

  it("forgets an account", async () => {
    await open(null);
    await granted(1n, 10n);
    fill(key, 10);
    await next(peer.requests);
    peer.events.put({ case: "forget", value: { revision: 11n, what: { case: "account", value: "acct_1" } } });
    expect(await next(peer.requests)).toMatchObject({ appliedRevision: 11n });
    expect(isKept(key)).toBe(false);
  });

  it.each([{ event: { case: undefined } as Event }, { event: { case: "forget", value: { revision: 11n } } as Event }])(
    "ends with all that is kept at an event that it does not know: $event.case",
    async ({ event }) => {
      await open(null);
      await granted(1n, 10n);
      fill(key, 10);
      peer.events.put(event);
      expect(await ended).toBeInstanceOf(Error);
      expect([cache.isHeld(), cache.size, places.at(-1)]).toEqual([false, 0, null]);
    },
  );

  it("is given up when no lease comes for ten seconds", async () => {
    await open(null);
    nowMs += 10_000;
    stream.renew();
    nowMs += 1;
    stream.renew();
    expect(await ended).toMatchObject({ message: expect.stringContaining("no lease") });
  });

  it("takes no lease any more once it has given its own back", async () => {
    await open(null);
    await granted(1n, 10n);
    stream.renew();
    stream.release();
    await next(peer.requests);
    await next(peer.requests);
    expect(await next(peer.requests)).toMatchObject({ sequence: 3n, release: true });
    cache.endLease();
    peer.events.put(lease(2n, 10n));
    peer.events.end();
    await ended;
    expect([cache.isHeld(), places.length]).toEqual([false, 1]);
  });
});

describe("a watch", () => {
  it("goes on where it was on another stream, and gives the old lease back once it has a new one", async () => {
    const { transport, peers } = byHand();
    const watch = new Watch({ transport, cache, clocks });
    watch.start();
    const first = await next(peers);
    first.events.put(lease((await next(first.requests)).sequence, 10n));
    await expect.poll(() => cache.isHeld()).toBe(true);
    fill(key, 10);
    watch.moveOn();
    const second = await next(peers);
    const resumed = await next(second.requests);
    expect(resumed).toMatchObject({ sequence: 1n, appliedRevision: 10n, appliedHash: hash });
    expect([cache.isHeld(), isKept(key)]).toEqual([true, true]);
    second.events.put(lease(1n, 10n));
    let request = await next(first.requests);
    while (!request.release) {
      request = await next(first.requests);
    }
    expect(isKept(key)).toBe(true);
    void watch.close();
    expect([cache.isHeld(), cache.size]).toEqual([false, 0]);
  });

  it("keeps nothing when it goes on from nowhere", async () => {
    const { transport, peers } = byHand();
    const watch = new Watch({ transport, cache, clocks });
    watch.start();
    const first = await next(peers);
    // No change at all was made yet.
    first.events.put(lease((await next(first.requests)).sequence, 0n));
    await expect.poll(() => cache.isHeld()).toBe(true);
    fill(key, 1);
    first.events.end();
    const second = await next(peers);
    expect(await next(second.requests)).toMatchObject({ appliedRevision: 0n });
    expect([cache.isHeld(), cache.size]).toEqual([false, 0]);
    void watch.close();
  });
});
