export const frameType = {
  data: 0,
  headers: 1,
  priority: 2,
  resetStream: 3,
  settings: 4,
  pushPromise: 5,
  ping: 6,
  goAway: 7,
  windowUpdate: 8,
  continuation: 9,
} as const;

export const flag = { endStream: 1, ack: 1, endHeaders: 4, padded: 8, priority: 32 } as const;

export const preface = Buffer.from("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "latin1");

export type Header = readonly [name: string, value: string];

/** One HTTP/2 frame (RFC 9113, 4.1), with whatever it is given. `length` lies about its length. */
export function frame(
  type: number,
  flags: number,
  streamId: number,
  payload: Uint8Array = new Uint8Array(0),
  length: number = payload.byteLength,
): Buffer {
  const header = Buffer.alloc(9);
  header.writeUIntBE(length, 0, 3);
  header.writeUInt8(type, 3);
  header.writeUInt8(flags, 4);
  header.writeUInt32BE(streamId, 5);
  return Buffer.concat([header, payload]);
}

export const openSettings = Buffer.concat([preface, frame(frameType.settings, 0, 0)]);

/** A header block of literals without indexing and without Huffman coding (RFC 7541, 6.2.2). */
export function headerBlock(headers: readonly Header[]): Buffer {
  return Buffer.concat(headers.flatMap(([name, value]) => [Buffer.of(0), literalString(name), literalString(value)]));
}

function literalString(text: string): Buffer {
  const bytes = Buffer.from(text, "latin1");
  return Buffer.concat([prefixedInteger(bytes.byteLength, 7), bytes]);
}

/** An integer with an N-bit prefix (RFC 7541, 5.1); the bits before it are zero. */
function prefixedInteger(value: number, prefixBits: number): Buffer {
  const most = 2 ** prefixBits - 1;
  if (value < most) {
    return Buffer.of(value);
  }
  const bytes = [most];
  let rest = value - most;
  while (rest >= 128) {
    bytes.push((rest % 128) + 128);
    rest = Math.floor(rest / 128);
  }
  return Buffer.from([...bytes, rest]);
}

/** The header of a gRPC call of Authenticate, with some of its fields replaced, and null for one that is left out. */
export function callHeaders(
  authority: string,
  changes: Readonly<Record<string, string | null>> = {},
): readonly Header[] {
  const fields: Record<string, string | null> = {
    ":method": "POST",
    ":scheme": "http",
    ":path": "/casapay.token.v1.TokenService/Authenticate",
    ":authority": authority,
    "content-type": "application/grpc",
    te: "trailers",
    ...changes,
  };
  return Object.entries(fields).flatMap(([name, value]) => (value === null ? [] : [[name, value] as const]));
}

export function headersFrame(streamId: number, headers: readonly Header[], flags: number = flag.endHeaders): Buffer {
  return frame(frameType.headers, flags, streamId, headerBlock(headers));
}

export function dataFrame(streamId: number, payload: Uint8Array, flags: number = flag.endStream): Buffer {
  return frame(frameType.data, flags, streamId, payload);
}

/** A gRPC message with its prefix; `length` lies about its length. */
export function grpcMessage(message: Uint8Array, length: number = message.byteLength, compressed = 0): Buffer {
  const prefix = Buffer.alloc(5);
  prefix.writeUInt8(compressed, 0);
  prefix.writeUInt32BE(length, 1);
  return Buffer.concat([prefix, message]);
}

export function setting(id: number, value: number): Buffer {
  const bytes = Buffer.alloc(6);
  bytes.writeUInt16BE(id, 0);
  bytes.writeUInt32BE(value, 2);
  return bytes;
}

export function uint32(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(value, 0);
  return bytes;
}

export type FrameHeader = { readonly type: number; readonly flags: number; readonly streamId: number };

/** The headers of the frames in these bytes. */
export function readFrames(bytes: Buffer): readonly FrameHeader[] {
  const frames: FrameHeader[] = [];
  let at = 0;
  while (at + 9 <= bytes.byteLength) {
    const streamId = bytes.readUInt32BE(at + 5) & 0x7fffffff;
    frames.push({ type: bytes.readUInt8(at + 3), flags: bytes.readUInt8(at + 4), streamId });
    at += 9 + bytes.readUIntBE(at, 3);
  }
  return frames;
}
