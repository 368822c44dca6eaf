import type { FastifyReply, FastifyRequest } from "fastify";
import type { Principal } from "./decision.ts";
import { type Authenticator, createGuard, type RouteOptions } from "./guard.ts";
import { credentialsOf, removeCredentials } from "./node-request.ts";

declare module "fastify" {
  interface FastifyRequest {
    /** Who acts, after `requireKey`. */
    principal?: Principal;
  }
}

/**
 * A Fastify hook, for `onRequest`: a request passes with a principal, `request.principal`, and without its key; else it
 * is answered.
 */
export function requireKey(
  authority: Authenticator,
  options: RouteOptions,
): (request: FastifyRequest, reply: FastifyReply) => Promise<void> {
  const guard = createGuard(authority, options);
  return async (request, reply) => {
    const outcome = await guard(credentialsOf(request.raw));
    if (outcome.kind === "answer") {
      await reply.code(outcome.status).headers(outcome.headers).send(outcome.body);
      return;
    }
    removeCredentials(request.raw);
    request.principal = outcome;
  };
}

/** The principal of a request that passed `requireKey`. Throws for another: then the route lacks it. */
export function principalOf({ principal }: FastifyRequest): Principal {
  if (principal === undefined) {
    throw new Error("the route has no requireKey before it");
  }
  return principal;
}
