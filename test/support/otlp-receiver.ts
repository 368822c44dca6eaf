import { once } from "node:events";
import { createServer, type IncomingHttpHeaders, type IncomingMessage, type ServerResponse } from "node:http";
import { buffer } from "node:stream/consumers";
import { BinaryReader, WireType } from "@bufbuild/protobuf/wire";

/** A span, as a collector is told of it. */
export type ReceivedSpan = {
  readonly traceId: string;
  readonly spanId: string;
  /** Empty for the first of a trace. */
  readonly parentSpanId: string;
  readonly traceState: string;
  readonly name: string;
  /** 2 is a server's. */
  readonly kind: number;
  readonly startMs: number;
  readonly endMs: number;
  readonly attributes: Readonly<Record<string, unknown>>;
  /** 0 is unset, 2 an error. */
  readonly statusCode: number;
  readonly resource: Readonly<Record<string, unknown>>;
};

type Answer = (response: ServerResponse) => void;

/** Takes OTLP over HTTP, in protobuf or JSON, and keeps what it was sent. */
export class OtlpReceiver implements AsyncDisposable {
  readonly spans: ReceivedSpan[] = [];
  /** Of every request, also of those that were answered with an error. */
  readonly requests: { readonly path: string; readonly headers: IncomingHttpHeaders; readonly body: Buffer }[] = [];
  readonly #server;
  readonly #answer: Answer;
  #arrived = Promise.withResolvers<void>();

  private constructor(answer: Answer) {
    this.#answer = answer;
    this.#server = createServer((request, response) => void this.#take(request, response));
  }

  static async start(answer: Answer = (response) => response.end(), port = 0): Promise<OtlpReceiver> {
    const receiver = new OtlpReceiver(answer);
    receiver.#server.listen(port, "127.0.0.1");
    await once(receiver.#server, "listening");
    return receiver;
  }

  get url(): string {
    const address = this.#server.address();
    return `http://127.0.0.1:${typeof address === "object" ? address?.port : ""}`;
  }

  /** The first span of this kind, once it is there. */
  async span(isWanted: (span: ReceivedSpan) => boolean): Promise<ReceivedSpan> {
    for (;;) {
      const found = this.spans.find(isWanted);
      if (found !== undefined) {
        return found;
      }
      await this.#arrived.promise;
    }
  }

  /** Resolves at the next request. */
  async request(): Promise<void> {
    await this.#arrived.promise;
  }

  async #take(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const body = await buffer(request);
    this.requests.push({ path: request.url ?? "", headers: request.headers, body });
    const isJson = request.headers["content-type"] === "application/json";
    this.spans.push(...(isJson ? spansOfJson(JSON.parse(body.toString())) : spansOfBinary(body)));
    this.#answer(response);
    this.#arrived.resolve();
    this.#arrived = Promise.withResolvers<void>();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const closed = once(this.#server, "close");
    this.#server.close();
    this.#server.closeAllConnections();
    await closed;
  }
}

// The numbers of the fields are those of opentelemetry/proto/collector/trace/v1/trace_service.proto and what it
// imports.
function spansOfBinary(body: Uint8Array): ReceivedSpan[] {
  return all(read(body), 1).flatMap((resourceSpans) => {
    const resource = all(read(resourceSpans), 1).flatMap((bytes) => all(read(bytes), 1));
    return all(read(resourceSpans), 2).flatMap((scopeSpans) =>
      all(read(scopeSpans), 2).map((bytes) => {
        const span = read(bytes);
        return {
          traceId: hex(all(span, 1)[0]),
          spanId: hex(all(span, 2)[0]),
          parentSpanId: hex(all(span, 4)[0]),
          traceState: text(all(span, 3)[0]),
          name: text(all(span, 5)[0]),
          kind: number(span, 6),
          startMs: number(span, 7) / 1e6,
          endMs: number(span, 8) / 1e6,
          attributes: attributesOf(all(span, 9)),
          statusCode: all(span, 15).map((status) => number(read(status), 3))[0] ?? 0,
          resource: attributesOf(resource),
        };
      }),
    );
  });
}

type Fields = ReadonlyMap<number, readonly (Uint8Array | bigint | string)[]>;

function read(bytes: Uint8Array): Fields {
  const reader = new BinaryReader(bytes);
  const fields = new Map<number, (Uint8Array | bigint | string)[]>();
  while (reader.pos < reader.len) {
    const [number, type] = reader.tag();
    const value =
      type === WireType.LengthDelimited
        ? reader.bytes()
        : type === WireType.Varint
          ? reader.uint64()
          : type === WireType.Bit64
            ? reader.fixed64()
            : BigInt(reader.fixed32());
    fields.set(number, [...(fields.get(number) ?? []), value]);
  }
  return fields;
}

function all(fields: Fields, number: number): Uint8Array[] {
  return (fields.get(number) ?? []).filter((value) => value instanceof Uint8Array);
}

function number(fields: Fields, number: number): number {
  return Number(fields.get(number)?.[0] ?? 0);
}

function hex(bytes: Uint8Array = new Uint8Array()): string {
  return Buffer.from(bytes).toString("hex");
}

function text(bytes: Uint8Array = new Uint8Array()): string {
  return Buffer.from(bytes).toString();
}

function attributesOf(pairs: readonly Uint8Array[]): Readonly<Record<string, unknown>> {
  return Object.fromEntries(
    pairs.map(read).map((pair) => {
      const value = all(pair, 2).map(read)[0] ?? new Map();
      return [text(all(pair, 1)[0]), value.has(1) ? text(all(value, 1)[0]) : number(value, 3)];
    }),
  );
}

type JsonAttributes = readonly {
  readonly key: string;
  readonly value: { readonly stringValue?: string; readonly intValue?: string };
}[];

type JsonSpan = {
  readonly traceId: string;
  readonly spanId: string;
  readonly parentSpanId?: string;
  readonly traceState?: string;
  readonly name: string;
  readonly kind: number;
  readonly startTimeUnixNano: string;
  readonly endTimeUnixNano: string;
  readonly attributes?: JsonAttributes;
  readonly status?: { readonly code?: number };
};

type JsonRequest = {
  readonly resourceSpans: readonly {
    readonly resource: { readonly attributes?: JsonAttributes };
    readonly scopeSpans: readonly { readonly spans: readonly JsonSpan[] }[];
  }[];
};

function spansOfJson({ resourceSpans }: JsonRequest): ReceivedSpan[] {
  return resourceSpans.flatMap(({ resource, scopeSpans }) =>
    scopeSpans.flatMap(({ spans }) =>
      spans.map((span) => ({
        traceId: span.traceId,
        spanId: span.spanId,
        parentSpanId: span.parentSpanId ?? "",
        traceState: span.traceState ?? "",
        name: span.name,
        kind: span.kind,
        startMs: Number(span.startTimeUnixNano) / 1e6,
        endMs: Number(span.endTimeUnixNano) / 1e6,
        attributes: attributesOfJson(span.attributes),
        statusCode: span.status?.code ?? 0,
        resource: attributesOfJson(resource.attributes),
      })),
    ),
  );
}

function attributesOfJson(attributes: JsonAttributes = []): Readonly<Record<string, unknown>> {
  return Object.fromEntries(attributes.map(({ key, value }) => [key, value.stringValue ?? Number(value.intValue)]));
}
