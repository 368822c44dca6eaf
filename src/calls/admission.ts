import { type Role, roles } from "../authority/caller.ts";
import type { HttpRequest } from "../wire/exchange.ts";
import type { IdentityFault, Peer } from "../wire/port/peer.ts";
import { isForAnotherHost } from "../wire/port/this-machine.ts";
import type { Call } from "./call.ts";
import { mayCall, permittedFor } from "./policy.ts";
import { type Status, statusOf } from "./status.ts";

/** The role of an identity as of now, or null when it has none. */
export type RoleOf = (identity: string) => Role | null;

/**
 * Decides whether the peer of a call may make it now, and notes who it is and which role it has. Returns why it may
 * not; null where it may. Who was admitted and is refused when asked again stays noted as it was: the log says who had
 * called.
 */
export type Admit = (call: Call) => Status | null;

const faultMessages = {
  CERTIFICATE_MISSING: "a client certificate that names one identity is required, and none was shown",
  CERTIFICATE_UNTRUSTED: "the client certificate was not issued by a CA that is trusted here now",
  CERTIFICATE_EXPIRED: "the client certificate, or one of those that issued it, has expired",
  CERTIFICATE_NOT_YET_VALID: "the client certificate, or one of those that issued it, is not valid yet",
  CERTIFICATE_UNSUITABLE: "the client certificate is not good for a client: its usage, key or signature",
  CERTIFICATE_WITHOUT_IDENTITY:
    "the client certificate must name one identity: a SPIFFE ID as its only URI, or a DNS name",
  PLAINTEXT_FROM_ELSEWHERE: "plaintext is answered to callers on this machine only",
} satisfies Record<IdentityFault, string>;

/** An identity without a role. */
export const callerUnknown = statusOf("CALLER_UNKNOWN", "the caller's identity is not in the callers file");

const hostNotLocal = statusOf(
  "HOST_NOT_LOCAL",
  "a plaintext request must name localhost or a loopback address as its host",
);

/** Makes the decision for one RPC, by its full name. Its policy is looked up here, once. */
export function createAdmission(rpc: string, roleOf: RoleOf): Admit {
  const permitted = permittedFor(rpc);
  const method = rpc.slice(rpc.indexOf("/") + 1);
  const roleNotAllowed = new Map(
    roles.map((role) => [role, statusOf("ROLE_NOT_ALLOWED", `the role ${role} may not call ${method}`)]),
  );

  /** Hot path. */
  function admit(call: Call): Status | null {
    const { identity } = call.peer;
    const role = identity === null ? null : roleOf(identity);
    const refusal = refusalOf(call.peer, identity, role);
    if (refusal === null || call.identity === null) {
      call.identity = identity;
      call.role = role;
    }
    return refusal;
  }

  function refusalOf(peer: Peer, identity: string | null, role: Role | null): Status | null {
    if (identity === null) {
      return callerUnidentified(peer.fault ?? "CERTIFICATE_MISSING");
    }
    // Every identity may ask for health and reflection, whether or not the callers file knows it.
    if (mayCall(permitted, role)) {
      return null;
    }
    return role === null ? callerUnknown : (roleNotAllowed.get(role) ?? callerUnknown);
  }

  return admit;
}

/** Why nothing is answered to a request that names another host; null where it names none. */
export function hostRefusal(request: Pick<HttpRequest, "peer" | "url">): Status | null {
  return isForAnotherHost(request) ? hostNotLocal : null;
}

/**
 * The decision on a call that came over HTTP. The host counts first: who names another one may be a page in a browser,
 * and not the peer.
 */
export function admitOverHttp(admit: Admit, call: Call, request: HttpRequest): Status | null {
  const refusal = admit(call);
  return hostRefusal(request) ?? refusal;
}

/** In words of its own for each fault. */
export function callerUnidentified(fault: IdentityFault): Status {
  return statusOf("CALLER_UNIDENTIFIED", faultMessages[fault], { fault });
}
