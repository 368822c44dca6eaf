import { once } from "node:events";
import { type ClientHttp2Session, connect as connectHttp2, type OutgoingHttpHeaders } from "node:http2";
import { connect, type Socket, type TcpNetConnectOpts } from "node:net";
import type { HttpHandler, HttpRequest, HttpResponse } from "../../src/wire/exchange.ts";
import type { Limits as Http2Limits } from "../../src/wire/http2/limits.ts";
import type { HttpLimits } from "../../src/wire/port/limits.ts";
import type { ListenAddress } from "../../src/wire/port/listen-address.ts";
import { type Listener, startListener } from "../../src/wire/port/listener.ts";
import type { PeerWatch } from "../../src/wire/port/peer-watch.ts";
import type { TlsSource } from "../../src/wire/port/tls-source.ts";
import { firstOf } from "../support/eventually.ts";

type LogLine = { readonly level: "info" | "warn" | "error"; readonly fields: object; readonly message: string };

/** A real listener on a free port, with its log in memory. Each of its handler's requests is kept. */
export type HttpRig = AsyncDisposable & {
  readonly listener: Listener;
  readonly port: number;
  readonly origin: string;
  readonly log: readonly LogLine[];
  readonly requests: readonly HttpRequest[];
};

export async function startRig(
  options: {
    readonly handler?: HttpHandler;
    readonly limits?: Partial<HttpLimits>;
    readonly http2Limits?: Partial<Http2Limits>;
    readonly tls?: TlsSource;
    readonly watch?: Partial<PeerWatch>;
    readonly address?: ListenAddress;
    readonly knowsCallers?: boolean;
  } = {},
): Promise<HttpRig> {
  const log: LogLine[] = [];
  const requests: HttpRequest[] = [];
  const handler = options.handler ?? hello;
  const noting: HttpHandler = (request) => {
    requests.push(request);
    return handler(request);
  };
  const listener = await startListener({
    address: options.address ?? { host: "127.0.0.1", port: 0 },
    handler: noting,
    tls: options.tls === undefined ? null : { source: options.tls, watch: { ...deafWatch, ...options.watch } },
    knowsCallers: options.knowsCallers ?? false,
    limits: options.limits ?? {},
    // It looks at its deadlines more often.
    http2Limits: { sweepMs: 20, ...options.http2Limits },
    log: memoryLog(log),
  });
  const port = "port" in listener.address ? listener.address.port : 0;
  return {
    listener,
    port,
    origin: `${options.tls === undefined ? "http" : "https"}://localhost:${port}`,
    log,
    requests,
    [Symbol.asyncDispose]: () => listener.close(0),
  };
}

/** Hears of peers and tells nobody. */
export const deafWatch: PeerWatch = { failed() {}, came() {}, stays() {}, goes() {} };

function memoryLog(lines: LogLine[]) {
  return {
    info: (fields: object, message: string) => void lines.push({ level: "info", fields, message }),
    warn: (fields: object, message: string) => void lines.push({ level: "warn", fields, message }),
    error: (fields: object, message: string) => void lines.push({ level: "error", fields, message }),
  };
}

export async function hello(): Promise<HttpResponse> {
  return { status: 200, header: { "content-type": "text/plain" }, body: Buffer.from("hello") };
}

/** Answers with the request's body, after it has ended, and a trailer. */
export async function echo(request: HttpRequest): Promise<HttpResponse> {
  return { status: 200, body: await readAll(request.body), trailer: { "x-after": "all" } };
}

export async function readAll(body: AsyncIterable<Uint8Array>): Promise<Buffer> {
  const chunks: Uint8Array[] = [];
  for await (const chunk of body) {
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}

export async function connectRaw(port: number, options: Partial<TcpNetConnectOpts> = {}): Promise<Socket> {
  const socket = connect({ host: "127.0.0.1", ...options, port });
  socket.on("error", () => {});
  await once(socket, "connect");
  return socket;
}

/** Everything the peer sends until it closes. */
export async function readToEnd(socket: Socket): Promise<string> {
  const chunks: Buffer[] = [];
  socket.on("data", (chunk: Buffer) => chunks.push(chunk));
  await closed(socket);
  return Buffer.concat(chunks).toString("latin1");
}

/** Waits until a socket is closed, by an error or without. */
export function closed(socket: Socket): Promise<void> {
  return new Promise((resolve) => {
    if (socket.closed) {
      resolve();
    } else {
      socket.once("close", () => resolve());
    }
  });
}

/** Waits until what a socket has received matches. */
export async function readUntil(socket: Socket, pattern: RegExp): Promise<string> {
  let text = "";
  const onData = (chunk: Buffer) => {
    text += chunk.toString("latin1");
  };
  socket.on("data", onData);
  while (!pattern.test(text)) {
    if (socket.closed) {
      throw new Error(`closed after ${JSON.stringify(text)}`);
    }
    await firstOf([socket, "data"], [socket, "close"]);
  }
  socket.off("data", onData);
  return text;
}

/** Sends some bytes and answers what comes back until the peer closes. */
export async function sendRaw(port: number, bytes: string | Uint8Array): Promise<string> {
  const socket = await connectRaw(port);
  const received = readToEnd(socket);
  socket.write(bytes);
  return received;
}

export type Http2Answer = {
  readonly status: number | null;
  readonly headers: Readonly<Record<string, unknown>>;
  readonly body: string;
  readonly trailers: Readonly<Record<string, unknown>>;
  /** The code of a reset; 0 where there was none. */
  readonly resetCode: number;
};

export async function openHttp2(origin: string): Promise<ClientHttp2Session & AsyncDisposable> {
  const session = connectHttp2(origin);
  session.on("error", () => {});
  await once(session, "connect");
  return Object.assign(session, {
    async [Symbol.asyncDispose]() {
      session.destroy();
    },
  });
}

export function callHttp2(
  session: ClientHttp2Session,
  headers: OutgoingHttpHeaders,
  body?: string | Uint8Array,
): Promise<Http2Answer> {
  return new Promise((resolve) => {
    const stream = session.request(headers, { endStream: body === undefined });
    let status: number | null = null;
    let fields: Record<string, unknown> = {};
    let trailers: Record<string, unknown> = {};
    const chunks: Buffer[] = [];
    stream.on("response", (response) => {
      status = response[":status"] ?? null;
      fields = { ...response };
    });
    stream.on("trailers", (received) => {
      trailers = { ...received };
    });
    stream.on("data", (chunk: Buffer) => chunks.push(chunk));
    stream.on("error", () => {});
    stream.on("close", () => {
      const text = Buffer.concat(chunks).toString("latin1");
      resolve({ status, headers: fields, body: text, trailers, resetCode: stream.rstCode });
    });
    if (body !== undefined) {
      stream.end(body);
    }
  });
}

/** Whether the listener still answers both protocols. */
export async function answersBoth(rig: HttpRig): Promise<boolean> {
  const first = await sendRaw(rig.port, "GET /alive HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
  await using session = await openHttp2(rig.origin);
  const second = await callHttp2(session, { ":path": "/alive" });
  return first.startsWith("HTTP/1.1 200") && second.status === 200;
}

export const preface = Buffer.from("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "latin1");

/** One HTTP/2 frame (RFC 9113, 4.1). */
export function frame(type: number, flags: number, streamId: number, payload: Uint8Array = Buffer.alloc(0)): Buffer {
  const header = Buffer.alloc(9);
  header.writeUIntBE(payload.byteLength, 0, 3);
  header.writeUInt8(type, 3);
  header.writeUInt8(flags, 4);
  header.writeUInt32BE(streamId, 5);
  return Buffer.concat([header, payload]);
}

export const settingsFrame = frame(4, 0, 0);

/** Whether these bytes of a server end with a GOAWAY of this code (RFC 9113, 6.8). */
export function endsWithGoaway(bytes: Buffer, code: number): boolean {
  for (let offset = 0; offset + 9 <= bytes.byteLength; ) {
    const length = bytes.readUIntBE(offset, 3);
    const isLast = offset + 9 + length === bytes.byteLength;
    if (isLast && bytes[offset + 3] === 7) {
      return bytes.readUInt32BE(offset + 13) === code;
    }
    offset += 9 + length;
  }
  return false;
}

/** A header block of literal fields without indexing and without Huffman coding (RFC 7541, 6.2.2). */
export function literalHeaders(fields: readonly (readonly [string, string])[]): Buffer {
  return Buffer.concat(fields.flatMap(([name, value]) => [Buffer.from([0]), hpackText(name), hpackText(value)]));
}

/** The HEADERS frame of a POST to `/` without END_STREAM; other fields come after. */
export function postHeaders(streamId: number, fields: readonly (readonly [string, string])[] = []): Buffer {
  return headersFrame(streamId, [
    [":method", "POST"],
    [":scheme", "http"],
    [":authority", "localhost"],
    [":path", "/"],
    ...fields,
  ]);
}

/** A HEADERS frame with END_HEADERS, and END_STREAM where it is asked for. */
export function headersFrame(
  streamId: number,
  fields: readonly (readonly [string, string])[],
  { endStream = false } = {},
): Buffer {
  return frame(1, endStream ? 5 : 4, streamId, literalHeaders(fields));
}

function hpackText(text: string): Buffer {
  const bytes = Buffer.from(text, "latin1");
  if (bytes.byteLength < 127) {
    return Buffer.concat([Buffer.from([bytes.byteLength]), bytes]);
  }
  const length = [127];
  let left = bytes.byteLength - 127;
  for (; left >= 128; left = Math.floor(left / 128)) {
    length.push((left % 128) | 128);
  }
  return Buffer.concat([Buffer.from([...length, left]), bytes]);
}
