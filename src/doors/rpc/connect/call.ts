import type { DescMethod } from "@bufbuild/protobuf";
import { type ConnectError, type ContextValues, createContextKey, type HandlerContext } from "@connectrpc/connect";
import type { Caller, Role } from "../../../authority/caller.ts";
import type { TraceHeaders } from "../../../calls/trace-headers.ts";
import type { HttpRequest } from "../../../wire/exchange.ts";
import type { Peer } from "../../../wire/port/peer.ts";
import { callCanceled, deadlineExceeded } from "../errors.ts";
import { type JsonBody, jsonBodyOf } from "./json-body.ts";

/** Who calls, as of the last time that was asked, and what the method notes down for logs and metrics. */
export type NotedCall = {
  readonly identity: string | null;
  readonly role: Role | null;
  tokenId: string | null;
  revision: number | null;
  refusalReason: string | null;
};

/** What is known of a call while it runs. The parts that see it through write down here what they learn. */
export type Call = NotedCall & {
  readonly method: DescMethod;
  readonly peer: Peer;
  /** By `performance.now()`. */
  readonly startedAtMs: number;
  /** Aborts with an error for the wire: the deadline has passed, or the client is gone. */
  readonly signal: AbortSignal;
  /** Aborts the signal as if the client were gone. */
  cancel(): void;
  /** When set, the call is refused with it before anything else is asked. */
  refusal: ConnectError | null;
  /** What is wrong with its headers: told only to those who may call. */
  malformed: ConnectError | null;
  /** What was read of a request of one JSON message. */
  readonly jsonBody: JsonBody | null;
  /** Connect's view of the call, once it has chosen a protocol. */
  context: HandlerContext | null;
  identity: string | null;
  role: Role | null;
  /** Whether the caller may call this RPC. */
  admitted: boolean;
  /** Whether the request was handed on to the implementation. */
  reached: boolean;
  /** The error that is answered, if any. */
  error: ConnectError | null;
  readonly trace: TraceHeaders | null;
};

const callKey = createContextKey<Call | null>(null, { description: "the call" });

/** Starts a call, and the one timer that it has. `timeoutMs` null means that it may last for ever. Release it when it has ended. */
export function startCall(
  method: DescMethod,
  request: HttpRequest,
  timeoutMs: number | null,
  trace: TraceHeaders | null,
): { readonly call: Call; release(): void } {
  const controller = new AbortController();
  const cancel = () => controller.abort(callCanceled());
  const expire = () => controller.abort(deadlineExceeded());
  const timer = timeoutMs === null ? undefined : setTimeout(expire, timeoutMs);
  if (timeoutMs === 0) {
    // A timer would let what is quick win the race.
    expire();
  }
  if (request.signal.aborted) {
    cancel();
  }
  request.signal.addEventListener("abort", cancel);

  return {
    call: {
      method,
      peer: request.peer,
      startedAtMs: performance.now(),
      signal: controller.signal,
      cancel,
      refusal: null,
      malformed: null,
      jsonBody: jsonBodyOf(method, request.header.get("content-type")),
      context: null,
      identity: request.peer.identity,
      role: null,
      admitted: false,
      reached: false,
      error: null,
      tokenId: null,
      revision: null,
      refusalReason: null,
      trace,
    },
    release() {
      clearTimeout(timer);
      request.signal.removeEventListener("abort", cancel);
    },
  };
}

/** Makes the call known to whatever sees these values. */
export function setCall(values: ContextValues, call: Call): ContextValues {
  return values.set(callKey, call);
}

/** The call that these values belong to. */
export function callOf(values: ContextValues): Call {
  const call = values.get(callKey);
  if (call === null) {
    throw new Error("a call came past the handler that describes it");
  }
  return call;
}

/** Who makes the call. Only for RPCs whose policy asks for a role. */
export function callerOf({ identity, role }: NotedCall): Caller {
  if (identity === null || role === null) {
    throw new Error("the policy let a caller without a role call a method that needs one");
  }
  return { identity, role };
}

/** The RPC's name as logs and metrics have it: `package.Service/Method`. */
export function rpcName(method: DescMethod): string {
  return `${method.parent.typeName}/${method.name}`;
}
