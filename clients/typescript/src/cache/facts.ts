import { durationMs } from "@bufbuild/protobuf/wkt";
import type { AuthenticateResponse } from "../../gen/casapay/token/v1/token_service_pb.ts";
import { decisionOf, type Refusal } from "../decision.ts";
import { typeCodes } from "../token.ts";
import type { Standing, Standings } from "./standings.ts";

/** What the authority answers about a key to the widest question: with it every other question can be decided. */
export type Facts = {
  readonly standing: Standing;
  /** Null where no token is known. */
  readonly tokenId: string | null;
  readonly account: string | null;
  /** Unix milliseconds: a Date could be set by its reader. */
  readonly expiresAtMs: number | null;
};

/** An answer to the widest question. */
export type Answer = {
  readonly facts: Facts;
  /** Up to which the authority knew all changes when it answered. */
  readonly revision: number;
  /** Null: not to be kept. */
  readonly cacheForMs: number | null;
};

/** No permissions, both modes, all types. */
export const widestQuestion = { allowedTypes: Object.values(typeCodes) } as const;

/** Reasons that depend on what was asked, or that this client does not know: none answers the widest question. */
const notFacts: ReadonlySet<Refusal["reason"]> = new Set([
  "LIVEMODE_MISMATCH",
  "TYPE_NOT_ALLOWED",
  "INSUFFICIENT_PERMISSIONS",
  "UNKNOWN",
]);

/** Null for an answer that this client does not know how to decide by. */
export function answerOf(response: AuthenticateResponse, standings: Standings): Answer | null {
  const facts = factsOf(response, standings);
  const { revision, cacheFor } = response;
  const cacheForMs = cacheFor === undefined ? null : durationMs(cacheFor);
  return facts === null ? null : { facts, revision: Number(revision), cacheForMs };
}

/** The same without how it is kept. */
export function factsOf(response: AuthenticateResponse, standings: Standings): Facts | null {
  const decision = decisionOf(response);
  if (decision?.kind === "principal") {
    const { tokenId, account, type, livemode, permissions, expireTime } = decision;
    if (type === "unknown") {
      return null;
    }
    const standing = standings.accepted(type, livemode, permissions);
    return { standing, tokenId, account, expiresAtMs: expireTime?.getTime() ?? null };
  }
  if (decision === null || notFacts.has(decision.reason)) {
    return null;
  }
  const { reason, tokenId, account } = decision;
  return { standing: standings.refused(reason), tokenId, account, expiresAtMs: null };
}
