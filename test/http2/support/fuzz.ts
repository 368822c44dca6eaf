import { Duplex } from "node:stream";
import { FieldFactory } from "../../../src/http2/field.ts";
import { clientPreface, Flag, FrameType, Setting } from "../../../src/http2/frame.ts";
import type { GeneralRequest, GeneralResponse } from "../../../src/http2/general.ts";
import { HpackDecoder } from "../../../src/http2/hpack-decoder.ts";
import { encodePreparedBlock } from "../../../src/http2/hpack-encoder.ts";
import { Http2Server } from "../../../src/http2/http2-server.ts";
import { data, frame, getPairs, headers, lanePairs, postPairs, settings, settingsAck, word } from "./raw-client.ts";
import { echoLane, laterPath } from "./test-server.ts";

/** Numbers that one seed decides. */
class Random {
  #state: number;

  constructor(seed: number) {
    this.#state = seed >>> 0;
  }

  /** From 0 up to, not including, `end`. */
  below(end: number): number {
    // Mulberry32.
    this.#state = (this.#state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(this.#state ^ (this.#state >>> 15), 1 | this.#state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return Math.floor((((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32) * end);
  }

  chance(ofHundred: number): boolean {
    return this.below(100) < ofHundred;
  }

  pick<T>(all: readonly T[]): T {
    const picked = all[this.below(all.length)];
    if (picked === undefined) {
      throw new Error("nothing to pick from");
    }
    return picked;
  }

  bytes(maxLength: number): Buffer {
    return Buffer.from(Array.from({ length: this.below(maxLength + 1) }, () => this.below(256)));
  }
}

/** A server and the number of handlers and lanes at work in it. */
export class FuzzTarget {
  readonly http2: Http2Server<null>;
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
      limits: {
        maxConcurrentStreams: 20,
        resetBudget: 50,
        controlBudget: 500,
        maxUnsentBytes: 65_536,
        maxLaneBytes: 100_000,
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

/** A frame sequence that mostly makes sense. Returns it with the streams that it begins and ends as the RFC wants: each must be answered or reset. */
function compose(random: Random): { readonly bytes: Buffer; readonly wellFormed: Set<number> } {
  const out: Buffer[] = [
    clientPreface,
    settings(...(random.chance(30) ? ([[Setting.HeaderTableSize, random.below(5_000)]] as const) : [])),
    settingsAck,
  ];
  const wellFormed = new Set<number>();
  const open: number[] = [];
  let next = 1;
  const cutBlock = (id: number, block: Buffer, flags: number): Buffer => {
    const cut = random.below(block.length + 1);
    return Buffer.concat([
      frame(FrameType.Headers, flags, id, block.subarray(0, cut)),
      frame(FrameType.Continuation, Flag.EndHeaders, id, block.subarray(cut)),
    ]);
  };
  const anyStream = (): number => (open.length > 0 && random.chance(85) ? random.pick(open) : random.below(next + 6));
  for (let count = 2 + random.below(20); count > 0; count--) {
    const id = next;
    switch (random.below(16)) {
      case 0:
      case 1:
      case 2: {
        const pairs = random.pick([
          lanePairs,
          lanePairs.map(([name, value]) => [name, name === ":path" ? laterPath : value] as const),
        ]);
        const block = encodePreparedBlock(pairs);
        out.push(
          random.chance(20) ? cutBlock(id, block, 0) : frame(FrameType.Headers, Flag.EndHeaders, id, block),
          data(id, random.bytes(40)),
        );
        wellFormed.add(id);
        next += 2;
        break;
      }
      case 3:
        out.push(
          random.chance(20) ? cutBlock(id, encodePreparedBlock(getPairs), Flag.EndStream) : headers(id, getPairs),
        );
        wellFormed.add(id);
        next += 2;
        break;
      case 4:
      case 5:
        out.push(headers(id, random.pick([postPairs, lanePairs]), Flag.EndHeaders));
        open.push(id);
        next += 2;
        break;
      case 6:
      case 7:
      case 8:
        if (open.length > 0) {
          const stream = random.pick(open);
          const bytes = random.chance(10) ? Buffer.alloc(random.below(16_384)) : random.bytes(100);
          const ends = random.chance(40);
          if (random.chance(20)) {
            out.push(
              frame(
                FrameType.Data,
                Flag.Padded | (ends ? Flag.EndStream : 0),
                stream,
                Buffer.concat([Buffer.from([5]), bytes, Buffer.alloc(5)]),
              ),
            );
          } else {
            out.push(data(stream, bytes, ends ? Flag.EndStream : 0));
          }
          if (ends) {
            open.splice(open.indexOf(stream), 1);
          }
        }
        break;
      case 9:
        if (open.length > 0) {
          out.push(headers(open.pop() ?? 1, [["x-trailer", "t"]]));
        }
        break;
      case 10:
        out.push(frame(FrameType.ResetStream, 0, anyStream(), word(random.below(14))));
        break;
      case 11:
        out.push(
          frame(
            FrameType.WindowUpdate,
            0,
            random.chance(50) ? 0 : anyStream(),
            word(random.pick([0, 1, 100, 65_535, 2 ** 31 - 1])),
          ),
        );
        break;
      case 12:
        out.push(settings([random.pick([1, 2, 3, 4, 5, 6, 9]), random.pick([0, 1, 100, 16_384, 65_535, 2 ** 31 - 1])]));
        break;
      case 13:
        out.push(
          random.pick([
            frame(FrameType.Ping, 0, 0, Buffer.alloc(8)),
            frame(FrameType.Priority, 0, anyStream(), Buffer.alloc(5)),
            frame(0x20 + random.below(200), random.below(256), anyStream(), random.bytes(20)),
          ]),
        );
        break;
      case 14:
        if (random.chance(10)) {
          // A lie about its length: what follows is read as something else.
          out.push(frame(random.below(10), random.below(256), anyStream(), random.bytes(30), random.below(20_000)));
          wellFormed.clear();
          return { bytes: Buffer.concat(out), wellFormed };
        }
        out.push(frame(random.below(10), random.below(256), anyStream(), random.bytes(30)));
        break;
      default:
        out.push(
          frame(
            FrameType.Headers,
            Flag.EndHeaders | Flag.EndStream,
            id,
            random.chance(50)
              ? random.bytes(40)
              : headers(id, [
                  ...getPairs,
                  [random.bytes(5).toString("latin1"), random.bytes(5).toString("latin1")],
                ]).subarray(9),
          ),
        );
        next += 2;
    }
  }
  return { bytes: Buffer.concat(out), wellFormed };
}

function mutate(random: Random, bytes: Buffer): Buffer {
  let mutated = Buffer.from(bytes);
  for (let count = 1 + random.below(4); count > 0; count--) {
    const at = random.below(mutated.length + 1);
    const end = Math.min(mutated.length, at + random.below(30));
    switch (random.below(5)) {
      case 0:
        mutated = Buffer.concat([mutated.subarray(0, at), mutated.subarray(end)]);
        break;
      case 1:
        mutated = Buffer.concat([mutated.subarray(0, end), mutated.subarray(at)]);
        break;
      case 2:
        mutated = Buffer.concat([mutated.subarray(0, at), random.bytes(12), mutated.subarray(at)]);
        break;
      default:
        if (at < mutated.length) {
          mutated[at] = random.chance(50) ? random.below(256) : (mutated[at] ?? 0) ^ (1 << random.below(8));
        }
    }
  }
  return mutated;
}

function wasReset(bytes: Buffer, id: number): boolean {
  for (let at = clientPreface.length; at + 9 <= bytes.length; at += 9 + bytes.readUIntBE(at, 3)) {
    if (bytes[at + 3] === FrameType.ResetStream && (bytes.readUInt32BE(at + 5) & 0x7fffffff) === id) {
      return true;
    }
  }
  return false;
}

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

/** Runs one input, told by its seed: throws if the server says what it may not, or leaves a stream neither answered nor reset. */
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
  failure ??= target.errors[0] ?? null;
  if (failure !== null) {
    throw new Error(`fuzz seed ${seed}: ${String(failure)}`, { cause: failure });
  }
}
