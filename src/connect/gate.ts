import type { DescMethod } from "@bufbuild/protobuf";
import type { ConnectError, HandlerContext } from "@connectrpc/connect";
import type { Peer, Role } from "../authority/caller.ts";
import { callOf } from "./call.ts";
import { callerUnidentified, callerUnknown, roleNotAllowed } from "./errors.ts";
import { mayCall, permittedFor } from "./policy.ts";

/** The role of an identity as of now, or null when nobody gave it one. */
export type RoleOf = (identity: string) => Role | null;

/** Decides whether a caller may call, before anything of the request's body is read. */
export function createGate(roleOf: RoleOf): (context: HandlerContext) => void {
  return (context) => {
    const call = callOf(context.values);
    call.context = context;
    const { role, objection } = objectionTo(call.method, call.peer, roleOf);
    call.role = role;
    call.error = call.refusal ?? objection ?? call.malformed;
    if (call.error !== null) {
      throw call.error;
    }
    call.admitted = true;
  };
}

/** The role a peer has now, and why it may not call, or null when it may. */
export function objectionTo(
  method: DescMethod,
  { identity }: Peer,
  roleOf: RoleOf,
): { readonly role: Role | null; readonly objection: ConnectError | null } {
  if (identity === null) {
    return { role: null, objection: callerUnidentified() };
  }
  // Whoever has an identity may ask for health and reflection, whether or not the callers file knows it.
  const role = roleOf(identity);
  if (mayCall(permittedFor(method), role)) {
    return { role, objection: null };
  }
  return { role, objection: role === null ? callerUnknown() : roleNotAllowed(role, method.name) };
}
