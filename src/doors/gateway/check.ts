import { randomUUID } from "node:crypto";
import type { AuthenticateRequest, Outcome } from "../../authority/judge.ts";
import { holdsKey } from "../../authority/key.ts";
import type { Principal } from "../../authority/key-index.ts";
import { presentedKey } from "../../calls/presented-key.ts";
import { challengeOf, type PublicError, publicErrorBody, publicRefusal } from "../../calls/public-error.ts";
import type { HeaderFields } from "../../wire/exchange.ts";
import { parseQuestion } from "./question.ts";

/**
 * What a gateway asks about one request of a client. Headers that came several times are one, their values joined by
 * commas.
 */
export type CheckRequest = {
  /** The words of the gateway's configuration: see `parseQuestion`. */
  readonly words: Iterable<readonly [name: string, value: string]>;
  readonly authorization: string | null;
  readonly apiKey: string | null;
  /** The gateway's name for the request: anything at all, as a client may have chosen it. */
  readonly requestId: string | null;
};

/** What the gateway is to do with it: pass it on with this token's identity headers, or answer this. */
export type CheckVerdict =
  | { readonly kind: "accepted"; readonly principal: Principal }
  | {
      readonly kind: "refused";
      readonly status: 401 | 403;
      readonly headers: HeaderFields;
      readonly body: string;
      /** As logs and metrics have it: `TOKEN_EXPIRED`. */
      readonly refusal: string;
      readonly tokenId: string | null;
      /** The one in the body. */
      readonly requestId: string;
    };

export type Authenticate = (request: AuthenticateRequest) => Outcome | Promise<Outcome>;

/** Throws or rejects where nothing is decided. */
export type Check = (request: CheckRequest) => CheckVerdict | Promise<CheckVerdict>;

/**
 * Answers gateways from Authenticate. It throws or rejects as that does, and with FIELD_INVALID for a route that makes
 * no sense: then nothing is decided.
 */
export function createCheck(authenticate: Authenticate): Check {
  return (request) => {
    const { requiredPermissions, livemode, allowedTypes } = parseQuestion(request.words);
    const key = presentedKey(request.authorization, request.apiKey);
    if (typeof key !== "string") {
      return refused(request, key, null);
    }
    const outcome = authenticate({ key, requiredPermissions, livemode, allowedTypes });
    return outcome instanceof Promise
      ? outcome.then((late) => toVerdict(request, requiredPermissions, late))
      : toVerdict(request, requiredPermissions, outcome);
  };
}

function toVerdict(request: CheckRequest, requiredPermissions: readonly string[], outcome: Outcome): CheckVerdict {
  return outcome.kind === "principal"
    ? { kind: "accepted", principal: outcome }
    : refused(request, publicRefusal(outcome.reason, requiredPermissions), outcome.token?.id ?? null);
}

function refused(request: CheckRequest, error: PublicError, tokenId: string | null): CheckVerdict {
  const requestId = requestIdOf(request) ?? newRequestId();
  const challenge = challengeOf(error);
  return {
    kind: "refused",
    status: error.status === 403 ? 403 : 401,
    headers: [
      ["content-type", "application/json"],
      ["cache-control", "no-store"],
      ...(challenge === null ? [] : [["www-authenticate", challenge] as const]),
    ],
    body: publicErrorBody(error, requestId),
    refusal: error.code.toUpperCase(),
    tokenId,
    requestId,
  };
}

/**
 * The gateway's own name for the request, or null where it has none, or one that could be anything: a key, sent in the
 * wrong header.
 */
export function requestIdOf({ requestId }: Pick<CheckRequest, "requestId">): string | null {
  return requestId !== null && /^[\w.-]{1,64}$/.test(requestId) && !holdsKey(requestId) ? requestId : null;
}

export function newRequestId(): string {
  return `req_${randomUUID()}`;
}
