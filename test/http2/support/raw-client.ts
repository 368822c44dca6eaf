import { connect, type Socket } from "node:net";
import { FieldFactory } from "../../../src/wire/http2/field.ts";
import { clientPreface, Flag, FrameType } from "../../../src/wire/http2/frame.ts";
import { HpackDecoder } from "../../../src/wire/http2/hpack-decoder.ts";
import { encodePreparedBlock, type HeaderPair } from "../../../src/wire/http2/hpack-encoder.ts";
import { lanePath } from "./test-server.ts";

/** Shorter than a test's own time limit, so that a failure says what was heard; longer than a busy machine takes. */
const patienceMs = 20_000;

export type RawFrame = {
  readonly type: number;
  readonly flags: number;
  readonly streamId: number;
  readonly payload: Buffer;
};

/** A frame's bytes; `length` tells a lie about them where it is given. */
export function frame(
  type: number,
  flags: number,
  streamId: number,
  payload: Uint8Array = Buffer.alloc(0),
  length: number = payload.length,
): Buffer {
  const header = Buffer.alloc(9);
  header.writeUIntBE(length, 0, 3);
  header[3] = type;
  header[4] = flags;
  header.writeUInt32BE(streamId, 5);
  return Buffer.concat([header, payload]);
}

export function word(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(value);
  return bytes;
}

export function settings(...pairs: (readonly [id: number, value: number])[]): Buffer {
  const payload = Buffer.alloc(6 * pairs.length);
  for (const [at, [id, value]] of pairs.entries()) {
    payload.writeUInt16BE(id, 6 * at);
    payload.writeUInt32BE(value, 6 * at + 2);
  }
  return frame(FrameType.Settings, 0, 0, payload);
}

export const settingsAck: Buffer = frame(FrameType.Settings, Flag.Ack, 0);

export const getPairs: readonly HeaderPair[] = [
  [":method", "GET"],
  [":scheme", "http"],
  [":authority", "localhost"],
  [":path", "/"],
];
export const postPairs: readonly HeaderPair[] = [
  [":method", "POST"],
  [":scheme", "http"],
  [":authority", "localhost"],
  [":path", "/"],
];
export const lanePairs: readonly HeaderPair[] = [
  [":method", "POST"],
  [":scheme", "http"],
  [":authority", "localhost"],
  [":path", lanePath],
  ["content-type", "application/grpc"],
  ["te", "trailers"],
];

export function headers(
  streamId: number,
  pairs: readonly HeaderPair[],
  flags: number = Flag.EndHeaders | Flag.EndStream,
): Buffer {
  return frame(FrameType.Headers, flags, streamId, encodePreparedBlock(pairs));
}

export function data(streamId: number, bytes: Uint8Array | string, flags: number = Flag.EndStream): Buffer {
  return frame(FrameType.Data, flags, streamId, Buffer.from(bytes));
}

/** A request to the echo lane, whole. */
export function laneRequest(streamId: number, body: Uint8Array | string = "body"): Buffer {
  return Buffer.concat([headers(streamId, lanePairs, Flag.EndHeaders), data(streamId, body)]);
}

/** A client that says what it is told to say, and keeps what it hears. */
export class RawClient {
  readonly socket: Socket;
  readonly frames: RawFrame[] = [];
  isClosed = false;
  #rest: Buffer = Buffer.alloc(0);
  #wake: () => void = () => {};
  readonly #decoder = new HpackDecoder(new FieldFactory([]), { maxHeaderListBytes: 1e6, maxHeaderFields: 1e4 });

  constructor(socket: Socket) {
    this.socket = socket;
    socket.on("data", (chunk: Buffer) => this.#read(chunk));
    socket.on("error", () => {});
    socket.on("close", () => {
      this.isClosed = true;
      this.#wake();
    });
  }

  /** Connects, and says the preface unless it is told not to. */
  static async connect(
    port: number,
    first: Buffer | null = Buffer.concat([clientPreface, settings(), settingsAck]),
  ): Promise<RawClient> {
    const socket = connect({ port, host: "127.0.0.1", noDelay: true });
    const client = new RawClient(socket);
    await new Promise<void>((resolve) => socket.once("connect", resolve));
    if (first !== null) {
      client.send(first);
    }
    return client;
  }

  send(...bytes: Buffer[]): void {
    this.socket.write(Buffer.concat(bytes));
  }

  /**
   * Resolves with the first frame, from the first ever heard, that is as asked. Fails if the connection closes without
   * it.
   */
  async frame(isWanted: (frame: RawFrame) => boolean): Promise<RawFrame> {
    const deadline = Date.now() + patienceMs;
    for (;;) {
      const found = this.frames.find(isWanted);
      if (found !== undefined) {
        return found;
      }
      if (this.isClosed || Date.now() > deadline) {
        throw new Error(
          `no such frame; heard ${this.frames.map(({ type, streamId, payload }) => `${type}/${streamId}/${payload.toString("hex").slice(0, 16)}`).join(" ")}`,
        );
      }
      await this.#change();
    }
  }

  /** Waits until this holds, or the time is over. */
  async until(holds: () => boolean): Promise<void> {
    const deadline = Date.now() + patienceMs;
    while (!holds() && Date.now() < deadline) {
      await this.#change();
    }
  }

  async closed(): Promise<void> {
    const deadline = Date.now() + patienceMs;
    while (!this.isClosed) {
      if (Date.now() > deadline) {
        throw new Error("the connection is still open");
      }
      await this.#change();
    }
  }

  /** The code of the GOAWAY that ends the connection. */
  async goAwayCode(): Promise<number> {
    const { payload } = await this.frame(({ type }) => type === FrameType.GoAway);
    return payload.readUInt32BE(4);
  }

  /** The code of the stream's RST_STREAM. */
  async resetCode(streamId: number): Promise<number> {
    const { payload } = await this.frame(
      (heard) => heard.type === FrameType.ResetStream && heard.streamId === streamId,
    );
    return payload.readUInt32BE(0);
  }

  /** Waits for the stream's END_STREAM and returns its body. */
  async body(streamId: number): Promise<Buffer> {
    await this.frame(
      (heard) => heard.streamId === streamId && (heard.flags & Flag.EndStream) !== 0 && heard.type <= FrameType.Headers,
    );
    return Buffer.concat(
      this.frames
        .filter((heard) => heard.type === FrameType.Data && heard.streamId === streamId)
        .map(({ payload }) => payload),
    );
  }

  /** How much of the stream's body has come so far. */
  bodyBytes(streamId: number): number {
    return this.frames
      .filter((heard) => heard.type === FrameType.Data && heard.streamId === streamId)
      .reduce((sum, { payload }) => sum + payload.length, 0);
  }

  /** Whether the connection still answers. */
  async ping(mark = "pingpong"): Promise<void> {
    this.send(frame(FrameType.Ping, 0, 0, Buffer.from(mark)));
    await this.frame(
      ({ type, flags, payload }) => type === FrameType.Ping && (flags & Flag.Ack) !== 0 && payload.toString() === mark,
    );
  }

  /** Decodes a block of the server's: each once, in order. */
  decode(block: Buffer): [string, string][] {
    this.#decoder.decode(block, 0, block.length);
    return this.#decoder.fields.slice(0, this.#decoder.count).map(({ name, value }) => [name, value]);
  }

  close(): void {
    this.socket.destroy();
  }

  #change(): Promise<void> {
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, 50);
      this.#wake = () => {
        clearTimeout(timer);
        resolve();
      };
    });
  }

  #read(chunk: Buffer): void {
    let bytes = Buffer.concat([this.#rest, chunk]);
    while (bytes.length >= 9) {
      const length = bytes.readUIntBE(0, 3);
      if (bytes.length < 9 + length) {
        break;
      }
      this.frames.push({
        type: bytes[3] ?? 0,
        flags: bytes[4] ?? 0,
        streamId: bytes.readUInt32BE(5),
        payload: Buffer.from(bytes.subarray(9, 9 + length)),
      });
      bytes = bytes.subarray(9 + length);
    }
    this.#rest = bytes;
    this.#wake();
  }
}
