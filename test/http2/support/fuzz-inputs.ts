import { clientPreface, Flag, FrameType, Setting } from "../../../src/wire/http2/frame.ts";
import { encodePreparedBlock } from "../../../src/wire/http2/hpack-encoder.ts";
import { data, frame, getPairs, headers, lanePairs, postPairs, settings, settingsAck, word } from "./raw-client.ts";
import { laterPath } from "./test-server.ts";

/** Numbers that one seed decides. */
export class Random {
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

/**
 * A frame sequence that mostly makes sense. Returns it with the streams that it begins and ends as the RFC wants: each
 * must be answered or reset.
 */
export function compose(random: Random): { readonly bytes: Buffer; readonly wellFormed: Set<number> } {
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

/** The same with up to four changes. */
export function mutate(random: Random, bytes: Buffer): Buffer {
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

/** Whether the client resets this stream. */
export function wasReset(bytes: Buffer, id: number): boolean {
  for (let at = clientPreface.length; at + 9 <= bytes.length; at += 9 + bytes.readUIntBE(at, 3)) {
    if (bytes[at + 3] === FrameType.ResetStream && (bytes.readUInt32BE(at + 5) & 0x7fffffff) === id) {
      return true;
    }
  }
  return false;
}
