import type { IncomingMessage, ServerResponse } from "node:http";
import type { Principal } from "./decision.ts";
import { type Authenticator, createGuard, type RouteOptions } from "./guard.ts";
import { credentialsOf, removeCredentials } from "./node-request.ts";

declare global {
  namespace Express {
    interface Request {
      /** Who acts, after `requireKey`. */
      principal?: Principal;
    }
  }
}

/**
 * Express middleware that lets a request pass with a principal, `request.principal`, and without its key; else it
 * answers itself. It fits whatever has Node's requests and `next`.
 */
export function requireKey(
  authority: Authenticator,
  options: RouteOptions,
): (request: IncomingMessage & { principal?: Principal }, response: ServerResponse, next: () => void) => void {
  const guard = createGuard(authority, options);
  return (request, response, next) => {
    void guard(credentialsOf(request)).then((outcome) => {
      if (outcome.kind === "answer") {
        // The app may have a timeout of its own, and have answered by now.
        if (!response.headersSent) {
          response.writeHead(outcome.status, outcome.headers).end(outcome.body);
        }
        return;
      }
      removeCredentials(request);
      request.principal = outcome;
      next();
    });
  };
}

/** The principal of a request that passed `requireKey`. Throws for another: then the route lacks it. */
export function principalOf(request: { readonly principal?: Principal }): Principal {
  if (request.principal === undefined) {
    throw new Error("the route has no requireKey before it");
  }
  return request.principal;
}
