import { ConnectError, type Interceptor, type StreamRequest, type UnaryRequest } from "@connectrpc/connect";
import { TokenService } from "#gen/casapay/token/v1/token_service_pb.ts";
import { AuthorityError } from "../../../authority/errors.ts";
import type { ReportFault } from "../../../calls/fault-log.ts";
import { fromAuthorityError, internalError, reasonOf, requestMalformed, unknownFieldNumber } from "../errors.ts";
import { type Call, callOf, rpcName } from "./call.ts";
import type { JudgeAgain } from "./gate.ts";
import { unrealTimeField } from "./json-body.ts";
import { raceAbort } from "./race-abort.ts";
import { rewordProtocolError } from "./reword-protocol-error.ts";
import { unknownFieldPath } from "./unknown-field-path.ts";

type Next = ReturnType<Interceptor>;

/** Sees a call through its implementation: within its deadline, and with every error in our words. */
export function createCallInterceptor(judgeAgain: JudgeAgain, reportFault: ReportFault): Interceptor {
  return (next) => (request) => {
    const call = callOf(request.contextValues);
    call.reached = true;
    return request.stream ? answerStream(call, request, next) : answerUnary(call, request, next);
  };

  async function answerUnary(call: Call, request: UnaryRequest, next: Next) {
    try {
      call.signal.throwIfAborted();
      return await raceAbort(call.signal, answerWorded(call, request, next));
    } catch (error) {
      // In our words already: it is the signal's reason, or comes from below.
      call.error = ConnectError.from(error);
      throw call.error;
    }
  }

  /** Words the error of its own: when the deadline has won the race, nobody else would hear of it. */
  async function answerWorded(call: Call, request: UnaryRequest, next: Next) {
    try {
      requireKnownFields(request);
      requireRealTimes(call, request);
      // The body may have been long in coming. Nothing is waited for from here until a change is handed to the store.
      judgeAgain(call);
      return await next(request);
    } catch (error) {
      throw worded(call, error);
    }
  }

  async function answerStream(call: Call, request: StreamRequest, next: Next) {
    try {
      const reword = (error: unknown) => rewordProtocolError(error, request.method.input);
      const judged = judging(catching(request.message, reword), () => judgeAgain(call));
      const response = await next({ ...request, message: judged });
      return response.stream
        ? { ...response, message: catching(response.message, (error) => failed(call, error)) }
        : response;
    } catch (error) {
      // Connect itself reads the one message of a server stream, and may miss it.
      throw failed(call, error instanceof ConnectError ? rewordProtocolError(error, request.method.input) : error);
    }
  }

  function failed(call: Call, error: unknown): ConnectError {
    call.error = worded(call, error);
    return call.error;
  }

  function worded(call: Call, error: unknown): ConnectError {
    if (error instanceof ConnectError && reasonOf(error) !== null) {
      return error;
    }
    if (error instanceof AuthorityError && error.reason !== "UNDECIDED") {
      return fromAuthorityError(error);
    }
    reportFault(error, rpcName(call.method));
    return error instanceof AuthorityError ? fromAuthorityError(error) : internalError();
  }
}

function requireKnownFields(request: UnaryRequest): void {
  if (request.service.typeName !== TokenService.typeName) {
    return;
  }
  const path = unknownFieldPath(request.method.input, request.message);
  if (path !== null) {
    throw unknownFieldNumber(request.method.input, path);
  }
}

function requireRealTimes({ jsonBody }: Call, { method, header }: UnaryRequest): void {
  const field = jsonBody === null ? null : unrealTimeField(method.input, header.get("content-type"), jsonBody);
  if (field !== null) {
    throw requestMalformed(`${field} could not be decoded`, field);
  }
}

/** Each message is taken from who may still send it. */
async function* judging<T>(source: AsyncIterable<T>, judge: () => void): AsyncGenerator<T> {
  for await (const message of source) {
    judge();
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
