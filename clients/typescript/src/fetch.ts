import type { Principal } from "./decision.ts";
import { type Authenticator, createGuard, credentialHeaders, type RouteOptions } from "./guard.ts";

/**
 * Puts a guard before a handler of fetch's Request and Response: Hono, Next, Bun, Deno. The handler is called with the
 * principal, and with a request that has no key in it; never when no principal was decided.
 */
export function withKey<Args extends readonly unknown[]>(
  authority: Authenticator,
  options: RouteOptions,
  handler: (request: Request, principal: Principal, ...args: Args) => Response | Promise<Response>,
): (request: Request, ...args: Args) => Promise<Response> {
  const guard = createGuard(authority, options);
  return async (request, ...args) => {
    const outcome = await guard({
      authorization: request.headers.get("authorization"),
      apiKey: request.headers.get("x-api-key"),
      requestId: request.headers.get("x-request-id"),
    });
    if (outcome.kind === "answer") {
      return new Response(outcome.body, { status: outcome.status, headers: outcome.headers });
    }
    const headers = new Headers(request.headers);
    for (const name of credentialHeaders) {
      headers.delete(name);
    }
    return await handler(new Request(request, { headers }), outcome, ...args);
  };
}
