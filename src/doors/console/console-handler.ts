import type { Role } from "../../authority/caller.ts";
import { callerUnidentified, callerUnknown, hostRefusal, type RoleOf } from "../../calls/admission.ts";
import { managementRpcs } from "../../calls/rpcs.ts";
import type { HttpHandler, HttpRequest, HttpResponse } from "../../wire/exchange.ts";
import { parseMediaType } from "../../wire/media-type.ts";
import type { IdentityFault, Peer } from "../../wire/port/peer.ts";
import { rawPath } from "../../wire/raw-path.ts";
import type { Interval } from "./figures.ts";
import type { PageFile } from "./page-files.ts";
import type { ServiceState } from "./service-state.ts";

export type ConsoleOptions = {
  readonly files: ReadonlyMap<string, PageFile>;
  /** Answers the RPCs, with the caller's own role. */
  readonly answerRpc: HttpHandler;
  readonly roleOf: RoleOf;
  readonly figures: {
    readonly bucketsMs: readonly number[];
    readonly everyMs: number;
    intervals(): readonly Interval[];
  };
  /** For operators. */
  readonly readState: () => Promise<ServiceState>;
};

/**
 * What the page calls. Authenticate is not among it: it takes a key, and none travels here but the one in Create's
 * answer.
 */
const rpcPaths: ReadonlySet<string> = new Set([...managementRpcs].map((rpc) => `/${rpc}`));

const securityHeaders = {
  "content-security-policy":
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
  "x-content-type-options": "nosniff",
  "referrer-policy": "no-referrer",
  "cross-origin-opener-policy": "same-origin",
  "cross-origin-resource-policy": "same-origin",
  // An answer may hold a key, and a page of yesterday would speak to the authority of today.
  "cache-control": "no-store",
};

/**
 * The console: its files, the RPCs that it calls, who its caller is (`/caller`), the last hour and the state
 * (`/figures`).
 */
export function createConsoleHandler(options: ConsoleOptions): HttpHandler {
  const { files, answerRpc, roleOf, figures, readState } = options;

  return async (request) => {
    const response = await route(request);
    const header = new Headers(response.header);
    for (const [name, value] of Object.entries(securityHeaders)) {
      header.set(name, value);
    }
    return { ...response, header };
  };

  async function route(request: HttpRequest): Promise<HttpResponse> {
    const elsewhere = hostRefusal(request);
    if (elsewhere !== null) {
      return refuse(403, "permission_denied", elsewhere.message);
    }
    const path = rawPath(request.url);
    const file = files.get(path);
    if (file !== undefined) {
      return ifRead(request, () => ({ status: 200, header: { "content-type": file.contentType }, body: file.body }));
    }
    if (isOfAnotherSite(request)) {
      return refuse(403, "permission_denied", "the request comes from a page of another origin");
    }
    if (rpcPaths.has(path)) {
      return isJson(request) ? answerRpc(request) : refuse(415, "invalid_argument", "only application/json");
    }
    switch (path) {
      case "/caller":
        return ifRead(request, () => json(200, describePeer(request.peer)));
      case "/figures":
        return ifRead(request, () => answerFigures(request.peer));
      default:
        return refuse(404, "not_found", "not found");
    }
  }

  /** Also for a caller who may do nothing: the page tells it why. */
  function describePeer({ identity, fault }: Peer): {
    readonly identity: string | null;
    readonly role: Role | null;
    readonly fault: IdentityFault | null;
  } {
    return { identity, role: identity === null ? null : roleOf(identity), fault };
  }

  async function answerFigures(peer: Peer): Promise<HttpResponse> {
    const { identity, role, fault } = describePeer(peer);
    if (identity === null) {
      const { message, reason, metadata } = callerUnidentified(fault ?? "CERTIFICATE_MISSING");
      const details = [{ type: "google.rpc.ErrorInfo", debug: { reason, metadata } }];
      return json(401, { code: "unauthenticated", message, details });
    }
    if (role === null) {
      return refuse(403, "permission_denied", callerUnknown.message);
    }
    const { bucketsMs, everyMs } = figures;
    const state = await readState();
    return json(200, {
      bucketsMs,
      everyMs,
      intervals: figures.intervals(),
      isOneOfMany: state.nodes !== null,
      // What names the machine, its callers and tokens is for those who may see them all.
      state: role === "operator" ? state : null,
    });
  }
}

/** A browser says where a request comes from; what is no browser carries no other page's wishes. */
function isOfAnotherSite({ url, header }: HttpRequest): boolean {
  const origin = header.get("origin");
  const site = header.get("sec-fetch-site");
  return (
    (origin !== null && origin !== new URL(url).origin) || (site !== null && !["same-origin", "none"].includes(site))
  );
}

/** A form or a script of another origin cannot send this type without asking first, and this server never says yes. */
function isJson({ header }: HttpRequest): boolean {
  return parseMediaType(header.get("content-type") ?? "")?.name === "application/json";
}

function ifRead(
  { method }: HttpRequest,
  answer: () => HttpResponse | Promise<HttpResponse>,
): HttpResponse | Promise<HttpResponse> {
  return method === "GET" || method === "HEAD"
    ? answer()
    : { ...refuse(405, "unimplemented", "only GET and HEAD"), header: { ...jsonType, allow: "GET, HEAD" } };
}

const jsonType = { "content-type": "application/json" };

/** In the form of a Connect error, as the RPCs answer theirs. */
function refuse(status: number, code: string, message: string): HttpResponse {
  return json(status, { code, message });
}

function json(status: number, value: object): HttpResponse {
  return { status, header: jsonType, body: Buffer.from(JSON.stringify(value)) };
}
