import type { Message } from "@bufbuild/protobuf";
import { ConnectError, type Interceptor, type StreamRequest, type UnaryRequest } from "@connectrpc/connect";
import { TokenService } from "#gen/casapay/token/v1/token_service_pb.ts";
import type { ReportFault } from "../../../calls/fault-log.ts";
import { requestMalformed, unknownFieldNumber } from "../../../calls/request-errors.ts";
import { rpcName } from "../../../calls/rpcs.ts";
import { statusOfError } from "../../../calls/status.ts";
import { statusOfConnectError, toConnectError } from "./connect-error.ts";
import { judgeAgain } from "./gate.ts";
import { unrealTimeField } from "./json-body.ts";
import { type Passage, passageOf } from "./passage.ts";
import { rewordProtocolError } from "./reword-protocol-error.ts";
import { unknownFieldPath } from "./unknown-field-path.ts";

type Next = ReturnType<Interceptor>;

/** Sees a call through its implementation, with every error in our words. */
export function createCallInterceptor(reportFault: ReportFault): Interceptor {
  return (next) => (request) => {
    const passage = passageOf(request.contextValues);
    passage.isReached = true;
    return request.stream ? answerStream(passage, request, next) : answerUnary(passage, request, next);
  };

  async function answerUnary(passage: Passage, request: UnaryRequest, next: Next) {
    try {
      passage.request.giving.signal.throwIfAborted();
      requireKnownFields(request, request.message);
      requireRealTimes(passage, request);
      // The body may have been long in coming. Nothing is waited for from here until a change is handed to the store.
      judgeAgain(passage);
      return await next(request);
    } catch (error) {
      throw failed(passage, error);
    }
  }

  async function answerStream(passage: Passage, request: StreamRequest, next: Next) {
    const reword = (error: unknown) =>
      isInOurWords(error) ? error : toConnectError(rewordProtocolError(error, request.method.input));
    try {
      const judged = judging(catching(request.message, reword), (message) => {
        judgeAgain(passage);
        requireKnownFields(request, message);
      });
      const response = await next({ ...request, message: judged });
      return response.stream
        ? { ...response, message: catching(response.message, (error) => failed(passage, error)) }
        : response;
    } catch (error) {
      // Connect itself reads the one message of a server stream, and may miss it.
      throw failed(passage, error instanceof ConnectError ? reword(error) : error);
    }
  }

  /** The error in our words, noted. */
  function failed({ call, method }: Passage, error: unknown): ConnectError {
    if (isInOurWords(error)) {
      call.status = statusOfConnectError(error);
      return error;
    }
    call.status = statusOfError(error, rpcName(method), reportFault);
    return toConnectError(call.status);
  }
}

function isInOurWords(error: unknown): error is ConnectError {
  return error instanceof ConnectError && statusOfConnectError(error) !== null;
}

function requireKnownFields(request: UnaryRequest | StreamRequest, message: Message): void {
  if (request.service.typeName !== TokenService.typeName) {
    return;
  }
  const path = unknownFieldPath(request.method.input, message);
  if (path !== null) {
    throw toConnectError(unknownFieldNumber(request.method.input, path));
  }
}

function requireRealTimes({ jsonBody }: Passage, { method, header }: UnaryRequest): void {
  const field = jsonBody === null ? null : unrealTimeField(method.input, header.get("content-type"), jsonBody);
  if (field !== null) {
    throw toConnectError(requestMalformed(`${field} could not be decoded`, field));
  }
}

/** Each message is taken from who may still send it, and judged. */
async function* judging<T>(source: AsyncIterable<T>, judge: (message: T) => void): AsyncGenerator<T> {
  for await (const message of source) {
    judge(message);
    yield message;
  }
}

async function* catching<T>(source: AsyncIterable<T>, wordError: (error: unknown) => ConnectError): AsyncGenerator<T> {
  try {
    yield* source;
  } catch (error) {
    throw wordError(error);
  }
}
