import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { type AddressInfo, createServer, type Server, type Socket } from "node:net";
import { createServer as createTlsServer } from "node:tls";
import { Account } from "../../../src/wire/http2/account.ts";
import type { GeneralRequest, GeneralResponse } from "../../../src/wire/http2/general.ts";
import { encodePreparedBlock } from "../../../src/wire/http2/hpack-encoder.ts";
import { Http2Server } from "../../../src/wire/http2/http2-server.ts";
import type { Lane, LaneAnswer } from "../../../src/wire/http2/lane.ts";
import type { Limits } from "../../../src/wire/http2/limits.ts";
import type { StreamLane } from "../../../src/wire/http2/stream-lane.ts";

export const lanePath = "/lane.Test/Echo";
export const streamPath = "/lane.Test/Stream";
export const laterPath = "/lane.Test/Later";
const fixedPath = "/lane.Test/Fixed";

export type TestServerOptions = {
  readonly limits?: Partial<Limits>;
  readonly clock?: () => number;
  readonly tls?: { readonly keyFile: string; readonly certFile: string };
  readonly handle?: (request: GeneralRequest) => Promise<GeneralResponse>;
  readonly lane?: Lane<null>;
  readonly streamLane?: StreamLane<null>;
  readonly port?: number;
  readonly account?: Account;
  readonly refuseLargeHeader?: (context: null, contentType: string) => LaneAnswer;
};

export type TestServer = {
  readonly http2: Http2Server<null>;
  readonly port: number;
  readonly errors: unknown[];
  readonly sockets: Set<Socket>;
  close(graceMs?: number): Promise<void>;
};

const head = encodePreparedBlock([
  [":status", "200"],
  ["content-type", "application/grpc"],
]);
const okTrailer = encodePreparedBlock([["grpc-status", "0"]]);
const tooLarge: LaneAnswer = {
  head: encodePreparedBlock([
    [":status", "200"],
    ["content-type", "application/grpc"],
    ["grpc-status", "8"],
  ]),
  body: null,
  trailer: null,
};

function isGrpc([contentType]: readonly (string | null)[]): boolean {
  return contentType === "application/grpc" || contentType === "application/grpc+proto";
}

/** Answers with the body it got. */
export const echoLane: Lane<null> = {
  maxBodyBytes: 65_536,
  tooLarge: () => tooLarge,
  refusal: () => null,
  accepts: isGrpc,
  answer: (bytes, start, end) => ({
    head,
    body: Uint8Array.prototype.slice.call(bytes, start, end),
    trailer: okTrailer,
  }),
};

/** The same, some turns later. */
const laterLane: Lane<null> = {
  ...echoLane,
  async answer(bytes, start, end) {
    const body = Uint8Array.prototype.slice.call(bytes, start, end);
    await new Promise((resolve) => setImmediate(resolve));
    return { head, body, trailer: okTrailer };
  },
};

const fixedAnswer: LaneAnswer = { head, body: new Uint8Array(100).fill(7), trailer: okTrailer };
const fixedLane: Lane<null> = { ...echoLane, answer: () => fixedAnswer };

/** GET answers some text once the request has ended, POST the body it got, as it comes. */
async function echo(request: GeneralRequest): Promise<GeneralResponse> {
  if (request.method === "POST") {
    return { status: 200, header: [["content-type", "application/octet-stream"]], body: request.body };
  }
  for await (const _ of request.body) {
    // h2spec leaves streams open to see what we make of further frames: an answer before the end would close them.
  }
  return { status: 200, header: [["content-type", "text/plain"]], body: Buffer.from("hello from the general way\n") };
}

/** A server on a free port of the loopback, with an echo on each way. */
export async function startTestServer(options: TestServerOptions = {}): Promise<TestServer> {
  const errors: unknown[] = [];
  const account = options.account ?? new Account(Number.POSITIVE_INFINITY);
  const sockets = new Set<Socket>();
  const http2 = new Http2Server<null>({
    lanes: {
      headers: ["content-type", "te", "grpc-timeout", "grpc-encoding"],
      paths: new Map([
        [lanePath, options.lane ?? echoLane],
        [laterPath, laterLane],
        [fixedPath, fixedLane],
      ]),
      streams: new Map(options.streamLane === undefined ? [] : [[streamPath, options.streamLane]]),
    },
    handle: options.handle ?? echo,
    onError: (error) => errors.push(error),
    account,
    ...(options.refuseLargeHeader === undefined ? {} : { refuseLargeHeader: options.refuseLargeHeader }),
    ...(options.limits === undefined ? {} : { limits: options.limits }),
    ...(options.clock === undefined ? {} : { clock: options.clock }),
  });
  const accept = (socket: Socket): void => {
    sockets.add(socket);
    socket.on("close", () => sockets.delete(socket));
    http2.accept(socket, null);
  };
  const { tls } = options;
  const server: Server =
    tls === undefined
      ? createServer({ noDelay: true }, accept)
      : createTlsServer(
          { key: readFileSync(tls.keyFile), cert: readFileSync(tls.certFile), ALPNProtocols: ["h2"] },
          accept,
        );
  await new Promise<void>((resolve) => server.listen(options.port ?? 0, "127.0.0.1", resolve));
  return {
    http2,
    port: (server.address() as AddressInfo).port,
    errors,
    sockets,
    async close(graceMs = 1_000) {
      const closed = new Promise((resolve) => server.close(resolve));
      await http2.close(graceMs);
      await closed;
      assert.equal(account.heldBytes, 0, "what connections held is given back");
    },
  };
}
