import type { PublicError } from "../../calls/public-error.ts";
import { rawPath } from "../../wire/raw-path.ts";
import { methodNotAllowed, notFound } from "./errors.ts";
import type { Operations } from "./operations.ts";

export type Route =
  | { readonly kind: "operation"; readonly operation: keyof Operations; readonly id: string }
  /** The OpenAPI document. */
  | { readonly kind: "document" }
  | { readonly kind: "refused"; readonly error: PublicError; readonly header: Readonly<Record<string, string>> };

type Target = keyof Operations | "document";

const paths: readonly { readonly pattern: RegExp; readonly methods: Readonly<Partial<Record<string, Target>>> }[] = [
  { pattern: /^\/v1\/tokens$/, methods: { GET: "list", HEAD: "list", POST: "create" } },
  // Ids begin with tok_: the word is free.
  { pattern: /^\/v1\/tokens\/self$/, methods: { GET: "getSelf", HEAD: "getSelf" } },
  { pattern: /^\/v1\/tokens\/self\/revoke$/, methods: { POST: "revokeSelf" } },
  { pattern: /^\/v1\/tokens\/([^/]+)$/, methods: { GET: "get", HEAD: "get" } },
  { pattern: /^\/v1\/tokens\/([^/]+)\/revoke$/, methods: { POST: "revoke" } },
  { pattern: /^\/v1\/tokens\/([^/]+)\/rotate$/, methods: { POST: "rotate" } },
  { pattern: /^\/v1\/tokens\/([^/]+)\/rotate\/end$/, methods: { POST: "endRotation" } },
  { pattern: /^\/v1\/openapi\.json$/, methods: { GET: "document", HEAD: "document" } },
];

/** What a request asks for. Paths are taken as they were sent: what would have to be decoded names nothing. */
export function routeOf(method: string, url: string): Route {
  const path = rawPath(url);
  for (const { pattern, methods } of paths) {
    const match = pattern.exec(path);
    if (match !== null) {
      const target = Object.hasOwn(methods, method) ? methods[method] : undefined;
      return target === undefined
        ? refused(methodNotAllowed, { allow: Object.keys(methods).join(", ") })
        : to(target, match[1]);
    }
  }
  return refused(notFound, {});
}

function to(target: Target, id = ""): Route {
  return target === "document" ? { kind: "document" } : { kind: "operation", operation: target, id };
}

function refused(error: PublicError, header: Readonly<Record<string, string>>): Route {
  return { kind: "refused", error, header };
}
