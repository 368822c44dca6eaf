import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { DescService } from "@bufbuild/protobuf";
import { type Client, Code, ConnectError, createClient, type Transport } from "@connectrpc/connect";
import { createAsyncIterable, type UniversalClientFn } from "@connectrpc/connect/protocol";
import { createTransport as createConnectTransport } from "@connectrpc/connect/protocol-connect";
import { createTransport as createGrpcTransport } from "@connectrpc/connect/protocol-grpc";
import { createTransport as createGrpcWebTransport } from "@connectrpc/connect/protocol-grpc-web";
import { ErrorInfoSchema } from "#gen/google/rpc/error_details_pb.ts";
import type { Role } from "../../src/authority/caller.ts";
import type { MadeChange } from "../../src/authority/journal.ts";
import { createSealer } from "../../src/authority/sealer.ts";
import type { TokenAuthority } from "../../src/authority/token-authority.ts";
import type { Deadlines } from "../../src/calls/deadline.ts";
import { createFaultLog } from "../../src/calls/fault-log.ts";
import type { FinishedCall } from "../../src/calls/finished-call.ts";
import { createConnectHandler } from "../../src/doors/rpc/connect/connect-handler.ts";
import { openSqliteTokenStore } from "../../src/stores/sqlite/open-sqlite-token-store.ts";
import type { HttpHandler, HttpRequest } from "../../src/wire/exchange.ts";
import type { Peer } from "../../src/wire/port/peer.ts";
import { authorityOver } from "../support/authority-over.ts";
import { bodyOf } from "../support/exchange.ts";

export const protocols = ["grpc", "grpc-web", "connect"] as const;
export type Protocol = (typeof protocols)[number];

export const tlsPeer = (identity: string | null): Peer => ({
  transport: "tls",
  identity,
  fault: identity === null ? "CERTIFICATE_MISSING" : null,
});
export const loopbackPeer: Peer = { transport: "loopback", identity: "local", fault: null };
export const unixPeer: Peer = { transport: "unix", identity: "local", fault: null };
/** The rig's callers file has this identity for each role. */
export const peerOf = (role: Role): Peer => tlsPeer(`spiffe://casapay/${role}`);

export type RigOptions = {
  readonly replaceAuthority?: (authority: TokenAuthority) => TokenAuthority;
  readonly deadlines?: Deadlines;
  readonly hasSealingSecret?: boolean;
  readonly maxTokensPerAccount?: number;
  readonly minFreeBytes?: number;
};

export type RawRequest = {
  readonly path: string;
  readonly method?: string;
  readonly origin?: string;
  readonly header?: Record<string, string>;
  readonly body?: AsyncIterable<Uint8Array> | Uint8Array | string;
  readonly peer?: Peer;
  readonly signal?: AbortSignal;
  readonly httpVersion?: string;
};

export type RawResponse = {
  readonly status: number;
  readonly header: Headers;
  readonly body: Uint8Array;
  readonly text: string;
  readonly trailer: Headers;
};

/**
 * The real handler over the real authority and a SQLite store of its own, with a clock moved by hand and no network.
 */
export class ConnectRig implements AsyncDisposable {
  readonly #resources = new AsyncDisposableStack();
  readonly calls: FinishedCall[] = [];
  readonly changes: MadeChange[] = [];
  readonly logged: { fields: object; message: string }[] = [];
  readonly roles = new Map<string, Role>(
    (["gateway", "service", "dashboard", "operator"] as const).map((role) => [`spiffe://casapay/${role}`, role]),
  );
  readonly shutdown = new AbortController();
  /** All that was ever answered, as Latin-1. */
  readonly answered: string[] = [];
  /** How often the handler asked for a part of a request's body. */
  bodyReads = 0;
  nowMs = Date.UTC(2026, 10, 24, 12);
  isServing = true;
  handle: HttpHandler = () => Promise.reject(new Error("not started"));

  static async start(options: RigOptions = {}): Promise<ConnectRig> {
    const rig = new ConnectRig();
    const directory = mkdtempSync(join(tmpdir(), "connect-rig-"));
    rig.#resources.defer(() => rmSync(directory, { recursive: true, force: true }));
    const report = (fields: object, message: string) => {
      rig.logged.push({ fields, message });
    };
    const log = { info: report, warn: report, error: report };
    const clock = () => rig.nowMs;
    const store = rig.#resources.use(
      await openSqliteTokenStore(join(directory, "data"), {
        minFreeBytes: options.minFreeBytes ?? 0,
        log: { info() {}, warn() {}, error: report },
        onFatal: (error) => report({ error }, "fatal"),
      }),
    );
    const authority = authorityOver(store, {
      clock,
      sealer: options.hasSealingSecret === false ? null : createSealer(new Uint8Array(32).fill(7)),
      ...(options.maxTokensPerAccount === undefined ? {} : { maxTokensPerAccount: options.maxTokensPerAccount }),
      onChange: (change) => rig.changes.push(change),
    });
    rig.handle = createConnectHandler({
      authority: options.replaceAuthority?.(authority) ?? authority,
      clock,
      roleOf: (identity) => rig.roles.get(identity) ?? null,
      isServing: () => rig.isServing && store.isServing(),
      onCall: (call) => rig.calls.push(call),
      reportFault: createFaultLog(log),
      shutdownSignal: rig.shutdown.signal,
      ...(options.deadlines === undefined ? {} : { deadlines: options.deadlines }),
    });
    return rig;
  }

  /** A client that speaks through the handler, without a network. */
  client<Service extends DescService>(
    service: Service,
    peer: Peer = peerOf("operator"),
    protocol: Protocol = "grpc",
    useBinaryFormat = true,
  ): Client<Service> {
    return createClient(service, this.transport(peer, protocol, useBinaryFormat));
  }

  /** Sends a request as it stands, and reads the response to its end. */
  async send(request: RawRequest): Promise<RawResponse> {
    const raw = rawRequest(request);
    const response = await this.handle({ ...raw, body: this.#counted(raw.body) });
    const body = await bodyOf(response);
    const header = new Headers({ ...headersOf(response.header) });
    const trailer = new Headers({ ...headersOf(response.trailer) });
    this.answered.push(JSON.stringify([[...header], [...trailer]]), body.toString("latin1"));
    return { status: response.status, header, body, text: body.toString("utf8"), trailer };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.shutdown.abort();
    await this.#resources.disposeAsync();
  }

  transport(peer: Peer, protocol: Protocol, useBinaryFormat = true): Transport {
    const create = { grpc: createGrpcTransport, "grpc-web": createGrpcWebTransport, connect: createConnectTransport };
    return create[protocol]({
      httpClient: this.#httpClient(peer),
      baseUrl: "https://token-authority.test",
      useBinaryFormat,
      interceptors: [],
      acceptCompression: [],
      sendCompression: null,
      compressMinBytes: 0,
      readMaxBytes: 64 * 1024 * 1024,
      writeMaxBytes: 64 * 1024 * 1024,
    });
  }

  #counted(body: AsyncIterable<Uint8Array>): AsyncIterable<Uint8Array> {
    return {
      [Symbol.asyncIterator]: () => {
        const iterator = body[Symbol.asyncIterator]();
        return {
          next: () => {
            this.bodyReads += 1;
            return iterator.next();
          },
          return: () => iterator.return?.() ?? Promise.resolve({ done: true, value: undefined }),
        };
      },
    };
  }

  #httpClient(peer: Peer): UniversalClientFn {
    return async ({ url, method, header, body, signal }) => {
      const response = await this.handle({
        httpVersion: "2.0",
        method,
        url,
        header,
        body: this.#counted(body ?? createAsyncIterable([])),
        signal: signal ?? new AbortController().signal,
        peer,
      });
      const answeredHeader = new Headers({ ...headersOf(response.header) });
      const trailer = new Headers();
      this.answered.push(JSON.stringify([...answeredHeader]));
      const record = (chunk: Uint8Array) => this.answered.push(Buffer.from(chunk).toString("latin1"));
      const answered = this.answered;
      const chunks = response.body instanceof Uint8Array ? createAsyncIterable([response.body]) : response.body;
      async function* recorded(): AsyncGenerator<Uint8Array> {
        for await (const chunk of chunks ?? []) {
          record(chunk);
          yield chunk;
        }
        for (const [name, value] of Object.entries(headersOf(response.trailer))) {
          trailer.set(name, value);
        }
        answered.push(JSON.stringify([...trailer]));
      }
      return { status: response.status, header: answeredHeader, body: recorded(), trailer };
    };
  }
}

/** The parts of a call's error. */
export function errorOf(error: unknown) {
  const connectError = ConnectError.from(error);
  const info = connectError.findDetails(ErrorInfoSchema)[0];
  return {
    code: Code[connectError.code] ?? "none",
    message: connectError.rawMessage,
    domain: info?.domain ?? null,
    reason: info?.reason ?? null,
    field: info?.metadata.field ?? null,
    metadata: info?.metadata ?? {},
  };
}

export function rawRequest(request: RawRequest): HttpRequest {
  const { body = new Uint8Array(0) } = request;
  return {
    httpVersion: request.httpVersion ?? "2.0",
    method: request.method ?? "POST",
    url: `${request.origin ?? "https://token-authority.test"}${request.path}`,
    header: new Headers(request.header),
    body: typeof body === "string" || body instanceof Uint8Array ? createAsyncIterable([Buffer.from(body)]) : body,
    signal: request.signal ?? new AbortController().signal,
    peer: request.peer ?? peerOf("operator"),
  };
}

/** One message in gRPC's framing. */
export function enveloped(message: Uint8Array, flags = 0): Uint8Array {
  const envelope = Buffer.alloc(5 + message.length);
  envelope.writeUInt8(flags, 0);
  envelope.writeUInt32BE(message.length, 1);
  envelope.set(message, 5);
  return envelope;
}

function headersOf(header: Headers | Readonly<Record<string, string>> | undefined): Record<string, string> {
  return header instanceof Headers ? Object.fromEntries(header) : { ...header };
}
