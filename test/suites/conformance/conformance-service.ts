import { setTimeout } from "node:timers/promises";
import { type Any, anyPack } from "@bufbuild/protobuf/wkt";
import { ConnectError, type HandlerContext, type ServiceImpl } from "@connectrpc/connect";
import type {
  BidiStreamRequest,
  Header,
  ResponseMetadata,
  RpcError,
  Schema,
  StreamResponseDefinition,
  UnaryResponseDefinition,
} from "./schema.ts";

/**
 * The header that tells the service the timeout in milliseconds that its caller asked for. Absent when there was none.
 */
export const requestedTimeoutHeader = "x-requested-timeout-ms";

/** ConformanceService as service.proto describes it, but for Unimplemented, which is Connect's to answer. */
export function createConformanceService({ service, requestInfo }: Schema): ServiceImpl<typeof service> {
  const { unary, idempotentUnary, clientStream, serverStream, bidiStream } = service.method;

  return {
    async unary(request, context) {
      return { payload: await answer(request.responseDefinition, [anyPack(unary.input, request)], context) };
    },

    async idempotentUnary(request, context) {
      return { payload: await answer(request.responseDefinition, [anyPack(idempotentUnary.input, request)], context) };
    },

    async clientStream(requests, context) {
      let definition: UnaryResponseDefinition | undefined;
      const received: Any[] = [];
      for await (const request of requests) {
        definition = received.length === 0 ? request.responseDefinition : definition;
        received.push(anyPack(clientStream.input, request));
      }
      return { payload: await answer(definition, received, context) };
    },

    async *serverStream(request, context) {
      const { responseDefinition } = request;
      if (responseDefinition !== undefined) {
        setMetadata(responseDefinition, context);
        yield* answers(responseDefinition, 0, [anyPack(serverStream.input, request)], context);
      }
    },

    async *bidiStream(requests, context) {
      let first: BidiStreamRequest | null = null;
      let received: Any[] = [];
      let answered = 0;
      for await (const request of requests) {
        if (first === null) {
          first = request;
          setMetadata(first.responseDefinition, context);
        }
        received.push(anyPack(bidiStream.input, request));
        if (first.fullDuplex) {
          const data = first.responseDefinition?.responseData[answered];
          if (data === undefined) {
            break;
          }
          await pause(first.responseDefinition, context);
          yield { payload: { data, requestInfo: answered === 0 ? infoOf(received, context) : { requests: received } } };
          answered += 1;
          received = [];
        }
      }
      if (first?.responseDefinition !== undefined) {
        yield* answers(first.responseDefinition, answered, received, context);
      }
    },
  };

  async function answer(definition: UnaryResponseDefinition | undefined, requests: Any[], context: HandlerContext) {
    setMetadata(definition, context);
    await pause(definition, context);
    const response = definition?.response;
    if (response?.case === "error") {
      throw errorOf(response.value, infoOf(requests, context));
    }
    return { data: response?.value ?? new Uint8Array(0), requestInfo: infoOf(requests, context) };
  }

  /**
   * The answers that are left after the first few, then the error if there is one. What comes first of all tells of the
   * request.
   */
  async function* answers(
    { responseData, error, ...metadata }: StreamResponseDefinition,
    answered: number,
    requests: Any[],
    context: HandlerContext,
  ) {
    for (let index = answered; index < responseData.length; index += 1) {
      await pause(metadata, context);
      const data = responseData[index] ?? new Uint8Array(0);
      yield { payload: index === 0 ? { data, requestInfo: infoOf(requests, context) } : { data } };
    }
    if (error !== undefined) {
      throw errorOf(error, responseData.length === 0 ? infoOf(requests, context) : null);
    }
  }

  function errorOf({ code, message, details }: RpcError, info: Info | null): ConnectError {
    const error = new ConnectError(message ?? "", code);
    error.details = details.map(({ typeUrl, value }) => ({ type: typeUrl.replace(/^.*\//, ""), value }));
    if (info !== null) {
      error.details.push({ desc: requestInfo, value: info });
    }
    return error;
  }
}

type Info = ReturnType<typeof infoOf>;

function infoOf(requests: Any[], { requestHeader, requestMethod, url }: HandlerContext) {
  const timeoutMs = requestHeader.get(requestedTimeoutHeader);
  return {
    requestHeaders: headersOf(requestHeader),
    requests,
    ...(timeoutMs === null ? {} : { timeoutMs: BigInt(timeoutMs) }),
    ...(requestMethod === "GET" ? { connectGetInfo: { queryParams: headersOf(new URL(url).searchParams) } } : {}),
  };
}

function headersOf(fields: Iterable<[string, string]>) {
  return [...fields].map(([name, value]) => ({ name, value: [value] }));
}

function setMetadata(metadata: ResponseMetadata | undefined, context: HandlerContext): void {
  append(metadata?.responseHeaders ?? [], context.responseHeader);
  append(metadata?.responseTrailers ?? [], context.responseTrailer);
}

function append(headers: readonly Header[], target: Headers): void {
  for (const { name, value } of headers) {
    for (const one of value) {
      target.append(name, one);
    }
  }
}

/** Waits as long as the definition says; rejects with the signal's reason when the call ends before. */
async function pause(metadata: ResponseMetadata | undefined, { signal }: HandlerContext): Promise<void> {
  const ms = metadata?.responseDelayMs ?? 0;
  if (ms > 0) {
    await setTimeout(ms, undefined, { signal }).catch(() => signal.throwIfAborted());
  }
}
