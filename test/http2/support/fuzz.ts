import { Duplex } from "node:stream";
import { Account } from "../../../src/wire/http2/account.ts";
import { FieldFactory } from "../../../src/wire/http2/field.ts";
import { clientPreface, Flag, FrameType, Setting } from "../../../src/wire/http2/frame.ts";
import type { GeneralRequest, GeneralResponse } from "../../../src/wire/http2/general.ts";
import { HpackDecoder } from "../../../src/wire/http2/hpack-decoder.ts";
import { Http2Server } from "../../../src/wire/http2/http2-server.ts";
import { compose, mutate, Random, wasReset } from "./fuzz-inputs.ts";
import { frame, lanePairs, settings, word } from "./raw-client.ts";
import { echoLane, laterPath } from "./test-server.ts";

/** A server and the number of handlers and lanes at work in it. */
export class FuzzTarget {
  readonly http2: Http2Server<null>;
  readonly account = new Account(Number.POSITIVE_INFINITY);
  readonly errors: unknown[] = [];
  atWork = 0;

  constructor() {
    const later = {
      ...echoLane,
      answer: async (bytes: Buffer, start: number, end: number) => {
        const answer = await echoLane.answer(bytes, start, end, [], null, { isClosed: false });
        this.atWork++;
        await new Promise((resolve) => setImmediate(resolve));
        this.atWork--;
        return answer;
      },
    };
    const paths = new Map([
      [lanePairs[3]?.[1] ?? "", echoLane],
      [laterPath, later],
    ]);
    this.http2 = new Http2Server<null>({
      lanes: { headers: ["content-type"], paths },
      handle: (request) => this.#handle(request),
      onError: (error) => this.errors.push(error),
      account: this.account,
      limits: {
        maxConcurrentStreams: 20,
        resetBudget: 50,
        controlBudget: 500,
        maxUnsentBytes: 65_536,
        maxHeldBytes: 200_000,
        connectionWindowBytes: 100_000,
        sweepMs: 1e9,
      },
    });
  }

  async #handle(request: GeneralRequest): Promise<GeneralResponse> {
    this.atWork++;
    try {
      if (request.method === "POST") {
        return { status: 200, header: [["x-test", "1"]], body: request.body, trailer: [["x-trailer", "2"]] };
      }
      for await (const _ of request.body) {
        // To its end.
      }
      return { status: 200, body: Buffer.alloc(1_000) };
    } finally {
      this.atWork--;
    }
  }
}

/** A socket whose other end is the fuzzer. */
class FakeSocket extends Duplex {
  readonly #heard: (bytes: Buffer) => void;
  readonly #isSlow: boolean;

  constructor(heard: (bytes: Buffer) => void, isSlow: boolean) {
    super({ allowHalfOpen: false });
    this.#heard = heard;
    this.#isSlow = isSlow;
  }

  override _read(): void {}

  override _write(chunk: Buffer, _encoding: string, done: () => void): void {
    // A copy: the server writes into its buffer again once this is done.
    this.#heard(Buffer.from(chunk));
    if (this.#isSlow) {
      setImmediate(done);
    } else {
      done();
    }
  }

  override _final(done: () => void): void {
    done();
  }
}

/** What the fuzzer grants at the end, so that all that waits can leave. */
const lastWindowBytes = 1_000_000;

/** Judges what a server says by what RFC 9113 lets it say. */
class Judge {
  readonly ended = new Set<number>();
  readonly answered = new Set<number>();
  goAwayCode: number | null = null;
  /** Body bytes heard, by stream. */
  readonly #bodies = new Map<number, number>();
  #rest: Buffer = Buffer.alloc(0);
  #blockOf: { id: number; flags: number; parts: Buffer[] } | null = null;
  readonly #decoder = new HpackDecoder(new FieldFactory([]), { maxHeaderListBytes: 1e6, maxHeaderFields: 1e3 });

  hear(bytes: Buffer): void {
    this.#rest = Buffer.concat([this.#rest, bytes]);
    while (this.#rest.length >= 9 && this.#rest.length >= 9 + this.#rest.readUIntBE(0, 3)) {
      const length = this.#rest.readUIntBE(0, 3);
      this.#frame(
        this.#rest[3] ?? 0,
        this.#rest[4] ?? 0,
        this.#rest.readUInt32BE(5),
        this.#rest.subarray(9, 9 + length),
      );
      this.#rest = this.#rest.subarray(9 + length);
    }
  }

  #frame(type: number, flags: number, id: number, payload: Buffer): void {
    must(payload.length <= 16_384, "a frame above the least maximum");
    must(
      this.#blockOf === null || (type === FrameType.Continuation && id === this.#blockOf.id),
      "a frame within a header block",
    );
    must(this.goAwayCode === null || this.goAwayCode === 0, "a frame after the last GOAWAY");
    switch (type) {
      case FrameType.Headers:
        must(!this.ended.has(id), "HEADERS after the stream's end");
        this.#block({ id, flags, parts: [payload] }, flags);
        break;
      case FrameType.Continuation:
        must(this.#blockOf !== null, "CONTINUATION of nothing");
        if (this.#blockOf !== null) {
          this.#block({ ...this.#blockOf, parts: [...this.#blockOf.parts, payload] }, flags);
        }
        return;
      case FrameType.Data:
        must(!this.ended.has(id) && this.answered.has(id), "DATA before HEADERS or after the stream's end");
        this.#data(id, payload.length);
        this.#end(id, flags);
        break;
      case FrameType.ResetStream:
        must(id > 0 && payload.length === 4, "a malformed RST_STREAM");
        this.ended.add(id);
        return;
      case FrameType.GoAway:
        this.goAwayCode = payload.readUInt32BE(4);
        return;
      case FrameType.WindowUpdate:
        must(payload.length === 4 && payload.readUInt32BE(0) > 0, "a malformed WINDOW_UPDATE");
        return;
      default:
        must(type === FrameType.Settings || type === FrameType.Ping, `a frame of type ${type}`);
        must(id === 0, "a connection's frame on a stream");
    }
  }

  #block(block: { id: number; flags: number; parts: Buffer[] }, flags: number): void {
    if ((flags & Flag.EndHeaders) === 0) {
      this.#blockOf = block;
      return;
    }
    this.#blockOf = null;
    const bytes = Buffer.concat(block.parts);
    // Throws if the block is wrong.
    this.#decoder.decode(bytes, 0, bytes.length);
    this.answered.add(block.id);
    this.#end(block.id, block.flags);
  }

  #data(id: number, bytes: number): void {
    this.#bodies.set(id, (this.#bodies.get(id) ?? 0) + bytes);
  }

  /** Whether no more was sent than all windows together ever allowed. */
  checkWindows(sent: Buffer): void {
    let initial = Math.max(65_535, lastWindowBytes);
    const granted = new Map<number, number>([[0, 65_535 + lastWindowBytes]]);
    for (let at = clientPreface.length; at + 9 <= sent.length; at += 9 + sent.readUIntBE(at, 3)) {
      const end = Math.min(sent.length, at + 9 + sent.readUIntBE(at, 3));
      const id = sent.readUInt32BE(at + 5) & 0x7fffffff;
      if (sent[at + 3] === FrameType.WindowUpdate && end === at + 13) {
        granted.set(id, (granted.get(id) ?? 0) + (sent.readUInt32BE(at + 9) & 0x7fffffff));
      }
      for (let setting = at + 9; sent[at + 3] === FrameType.Settings && setting + 6 <= end; setting += 6) {
        if (sent.readUInt16BE(setting) === Setting.InitialWindowSize) {
          initial = Math.max(initial, sent.readUInt32BE(setting + 2));
        }
      }
    }
    let total = 0;
    for (const [id, bytes] of this.#bodies) {
      total += bytes;
      must(bytes <= initial + (granted.get(id) ?? 0), "DATA beyond a stream's window");
    }
    must(total <= (granted.get(0) ?? 0), "DATA beyond the connection's window");
  }

  #end(id: number, flags: number): void {
    if ((flags & Flag.EndStream) !== 0) {
      this.ended.add(id);
    }
  }
}

function must(holds: boolean, what: string): void {
  if (!holds) {
    throw new Error(`the server sent ${what}`);
  }
}

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

/**
 * Runs one input, told by its seed: throws if the server says what it may not, or leaves a stream neither answered nor
 * reset.
 */
export async function fuzzOnce(target: FuzzTarget, seed: number, recordings: readonly Buffer[]): Promise<void> {
  const random = new Random(seed);
  const composed = compose(random);
  const isRecording = recordings.length > 0 && random.chance(30);
  const isMutated = isRecording || random.chance(50);
  const bytes = isMutated ? mutate(random, isRecording ? random.pick(recordings) : composed.bytes) : composed.bytes;
  const judge = new Judge();
  let failure: unknown = null;
  const socket = new FakeSocket((heard) => {
    try {
      judge.hear(heard);
    } catch (error) {
      failure ??= error;
    }
  }, random.chance(20));
  target.http2.accept(socket, null);

  for (let at = 0; at < bytes.length && !socket.destroyed; ) {
    const end = Math.min(bytes.length, at + 1 + random.below(random.chance(50) ? 20 : 2_000));
    socket.push(bytes.subarray(at, end));
    at = end;
    if (random.chance(30)) {
      await turn();
    }
  }
  // Room for all that waits for it.
  if (!isMutated) {
    socket.push(
      Buffer.concat([
        settings([Setting.InitialWindowSize, lastWindowBytes]),
        frame(FrameType.WindowUpdate, 0, 0, word(lastWindowBytes)),
      ]),
    );
  }
  const owed = (): number[] =>
    isMutated || judge.goAwayCode !== null
      ? []
      : [...composed.wellFormed].filter((id) => !judge.ended.has(id) && !wasReset(composed.bytes, id));
  for (let turns = 0; turns < 4 || (turns < 200 && owed().length > 0); turns++) {
    await turn();
  }
  if (owed().length > 0) {
    failure ??= new Error(`streams ${owed()} were neither answered nor reset`);
  }
  if (!isMutated) {
    try {
      judge.checkWindows(composed.bytes);
    } catch (error) {
      failure ??= error;
    }
  }
  socket.push(null);
  socket.destroy();
  for (let turns = 0; turns < 4; turns++) {
    await turn();
  }
  if (target.http2.connectionCount !== 0 || target.atWork !== 0) {
    failure ??= new Error(`${target.http2.connectionCount} connections and ${target.atWork} handlers are left`);
  }
  if (target.account.heldBytes !== 0) {
    failure ??= new Error(`${target.account.heldBytes} bytes of requests are held though all connections are closed`);
  }
  failure ??= target.errors[0] ?? null;
  if (failure !== null) {
    throw new Error(`fuzz seed ${seed}: ${String(failure)}`, { cause: failure });
  }
}
