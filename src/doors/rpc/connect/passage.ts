import type { DescMethod } from "@bufbuild/protobuf";
import { type ContextValues, createContextKey, type HandlerContext } from "@connectrpc/connect";
import type { Admit } from "../../../calls/admission.ts";
import type { Call } from "../../../calls/call.ts";
import type { Status } from "../../../calls/status.ts";
import type { HttpRequest } from "../../../wire/exchange.ts";
import { type JsonBody, jsonBodyOf } from "./json-body.ts";

/** A request for an RPC. */
export type RpcRequest = {
  readonly http: HttpRequest;
  /**
   * What the caller asks for, cut to what it may have; null when it may last for ever, "malformed" when that makes no
   * sense.
   */
  readonly timeoutMs: number | null | "malformed";
  /** Aborts with an error for the wire: the deadline has passed, or the client is gone. */
  readonly giving: AbortController;
};

/** One way of a request through Connect's handlers. The parts that see it through write down here what they learn. */
export type Passage = {
  readonly call: Call;
  readonly method: DescMethod;
  readonly request: RpcRequest;
  /** Decides again whether the call may be made. */
  readonly admit: Admit;
  /** When set, it is the answer, and nothing of the body is read. */
  readonly refusal: Status | null;
  /** What was read of a request of one JSON message. */
  readonly jsonBody: JsonBody | null;
  /** Connect's view of the call, once it has chosen a protocol. */
  context: HandlerContext | null;
  /** Whether the request was handed on to the implementation. */
  isReached: boolean;
};

export function createPassage(
  call: Call,
  method: DescMethod,
  request: RpcRequest,
  admit: Admit,
  refusal: Status | null,
): Passage {
  const jsonBody = jsonBodyOf(method, request.http.header.get("content-type"));
  return { call, method, request, admit, refusal, jsonBody, context: null, isReached: false };
}

const key = createContextKey<Passage | null>(null, { description: "the passage of the call" });

/** Makes the passage known to whatever sees these values. */
export function setPassage(values: ContextValues, passage: Passage): ContextValues {
  return values.set(key, passage);
}

/** The passage that these values belong to. */
export function passageOf(values: ContextValues): Passage {
  const passage = values.get(key);
  if (passage === null) {
    throw new Error("a call came past the handler that describes it");
  }
  return passage;
}

/** The call that these values belong to. */
export function callOf(values: ContextValues): Call {
  return passageOf(values).call;
}
