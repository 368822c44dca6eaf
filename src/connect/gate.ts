import type { ConnectError, HandlerContext } from "@connectrpc/connect";
import type { Peer, Role } from "../authority/caller.ts";
import { type Call, callOf } from "./call.ts";
import { callerUnidentified, callerUnknown, roleNotAllowed } from "./errors.ts";
import { mayCall, permittedFor } from "./policy.ts";

/** The role of an identity as of now, or null when nobody gave it one. */
export type RoleOf = (identity: string, peer: Peer) => Role | null;

/** Decides whether a caller may call, before anything of the request's body is read. */
export function createGate(roleOf: RoleOf): (context: HandlerContext) => void {
  return (context) => {
    const call = callOf(context.values);
    call.context = context;
    call.error = call.refusal ?? objection(call, roleOf) ?? call.malformed;
    if (call.error !== null) {
      throw call.error;
    }
    call.admitted = true;
  };
}

/** Why the caller may not call, or null when it may. */
function objection(call: Call, roleOf: RoleOf): ConnectError | null {
  const { identity } = call.peer;
  if (identity === null) {
    return callerUnidentified();
  }
  const permitted = permittedFor(call.method);
  // Whoever has an identity may ask for health and reflection, whether or not the callers file knows it.
  call.role = roleOf(identity, call.peer);
  if (mayCall(permitted, call.role)) {
    return null;
  }
  return call.role === null ? callerUnknown() : roleNotAllowed(call.role, call.method.name);
}
