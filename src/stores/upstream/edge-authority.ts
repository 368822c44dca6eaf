import { requireCacheQuestion } from "../../authority/cache-decision.ts";
import { notAtEdge } from "../../authority/errors.ts";
import { maxRequiredPermissions, type TokenAuthority } from "../../authority/token-authority.ts";
import { requirePermissions } from "../../authority/validation.ts";
import type { Upstream } from "./upstream.ts";

/** The authority as an edge has it: it decides on keys, and throws for everything else. */
export function createEdgeAuthority(upstream: Upstream): TokenAuthority {
  const elsewhere = () => {
    throw notAtEdge();
  };
  return {
    authenticate(request) {
      requirePermissions("requiredPermissions", request.requiredPermissions, maxRequiredPermissions);
      return upstream.authenticate(request);
    },
    async authenticateForCache(request) {
      requirePermissions("requiredPermissions", request.requiredPermissions, maxRequiredPermissions);
      requireCacheQuestion(request);
      return await upstream.authenticateForCache(request);
    },
    holders: () => nobody,
    watch: elsewhere,
    create: elsewhere,
    get: elsewhere,
    findByDigest: elsewhere,
    revoke: elsewhere,
    revokeTokens: elsewhere,
    setHold: elsewhere,
    closeAccount: elsewhere,
    rotateKey: elsewhere,
    endRotation: elsewhere,
    list: elsewhere,
    listChanges: elsewhere,
    listAccounts: elsewhere,
  };
}

/** An edge grants no leases: who decides from memory watches the authority. */
const nobody = {
  states: [],
  open: 0,
  holders: 0,
  leasesGranted: 0,
  resets: 0,
  silent: new Map<string, number>(),
  settled: 0,
  waitedMs: 0,
  waitedOut: 0,
  reportedUses: 0,
};
