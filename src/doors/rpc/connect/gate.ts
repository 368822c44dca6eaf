import type { DescMethod } from "@bufbuild/protobuf";
import type { ConnectError, HandlerContext } from "@connectrpc/connect";
import type { Role } from "../../../authority/caller.ts";
import { mayCall, permittedFor } from "../../../calls/policy.ts";
import type { Peer } from "../../../wire/port/peer.ts";
import { callerUnidentified, callerUnknown, roleNotAllowed } from "../errors.ts";
import { type Call, callOf } from "./call.ts";

/** Decides once more on the caller of a call that was let in. Throws when it may call no longer. */
export type JudgeAgain = (call: Call) => void;

/** The role of an identity as of now, or null when nobody gave it one. */
export type RoleOf = (identity: string) => Role | null;

/** Decides whether a caller may call, before anything of the request's body is read. */
export function createGate(roleOf: RoleOf): (context: HandlerContext) => void {
  return (context) => {
    const call = callOf(context.values);
    call.context = context;
    const { identity, role, objection } = objectionTo(call.method, call.peer, roleOf);
    call.identity = identity;
    call.role = role;
    call.error = call.refusal ?? objection ?? call.malformed;
    if (call.error !== null) {
      throw call.error;
    }
    call.admitted = true;
  };
}

/** What a caller asks for may be long in coming, and its identity or role taken away since: from here on it is who it is now. */
export function createJudge(roleOf: RoleOf): JudgeAgain {
  return (call) => {
    const { identity, role, objection } = objectionTo(call.method, call.peer, roleOf);
    if (objection !== null) {
      // The log still says who had called.
      throw objection;
    }
    call.identity = identity;
    call.role = role;
  };
}

export type Judgement = {
  readonly identity: string | null;
  readonly role: Role | null;
  readonly objection: ConnectError | null;
};

/** The identity and the role a peer has now, and why it may not call, or null when it may. */
export function objectionTo(method: DescMethod, peer: Peer, roleOf: RoleOf): Judgement {
  const { identity } = peer;
  if (identity === null) {
    return { identity, role: null, objection: callerUnidentified(peer.fault ?? "CERTIFICATE_MISSING") };
  }
  // Whoever has an identity may ask for health and reflection, whether or not the callers file knows it.
  const role = roleOf(identity);
  if (mayCall(permittedFor(method), role)) {
    return { identity, role, objection: null };
  }
  return { identity, role, objection: role === null ? callerUnknown() : roleNotAllowed(role, method.name) };
}
