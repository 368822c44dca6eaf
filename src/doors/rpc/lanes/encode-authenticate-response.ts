import type { CacheDecision } from "../../../authority/cache-decision.ts";
import type { Outcome } from "../../../authority/judge.ts";
import { endOfKey, type StoredToken } from "../../../authority/token.ts";
import { preparedAnswer } from "../../../calls/prepared-answers.ts";
import { messageField, stringField, stringFields, varintField } from "../../../wire/protobuf/field-text.ts";
import { lengthPrefixed, lengthPrefixedText, prefixBytes } from "../../../wire/protobuf/length-prefixed.ts";
import { numberOfReason, numberOfType } from "../numbers.ts";

type Refusal = Extract<Outcome, { readonly kind: "refusal" }>;

// Numbers of fields are those of token.proto and token_service.proto.
const keyMalformed = encodeRefusal({ kind: "refusal", reason: "KEY_MALFORMED", token: null, missingPermissions: [] });
const keyUnknown = encodeRefusal({ kind: "refusal", reason: "KEY_UNKNOWN", token: null, missingPermissions: [] });

/**
 * Hot path. A casapay.token.v1.AuthenticateResponse with gRPC's prefix, byte for byte what protobuf-es makes. Not to be
 * changed: it may be shared.
 */
export function encodeAuthenticateResponse(outcome: Outcome): Uint8Array {
  if (outcome.kind === "principal") {
    return preparedAnswer(outcome, "authenticate", encodePrincipal);
  }
  switch (outcome.reason) {
    case "KEY_MALFORMED":
      return keyMalformed;
    case "KEY_UNKNOWN":
      return keyUnknown;
    default:
      return encodeRefusal(outcome);
  }
}

/** The same for a caller that keeps answers, with the revision and for how long. */
export function encodeCacheDecision({ outcome, revision, cacheForMs }: CacheDecision): Uint8Array {
  const fields = varintField(3, revision) + (cacheForMs === null ? "" : messageField(4, secondsAndNanos(cacheForMs)));
  const message = encodeAuthenticateResponse(outcome).subarray(prefixBytes);
  return lengthPrefixed(Buffer.concat([message, Buffer.from(fields, "latin1")]));
}

/** The whole answer for a key that may pass: it depends on the token and the end of this key, and holds no key. */
function encodePrincipal(token: StoredToken): Uint8Array {
  const endsAtMs = endOfKey(token);
  const principal =
    stringField(1, token.id) +
    stringField(2, token.account) +
    varintField(3, numberOfType[token.type]) +
    varintField(4, token.livemode ? 1 : 0) +
    stringFields(5, token.permissions) +
    (endsAtMs === null ? "" : messageField(6, secondsAndNanos(endsAtMs)));
  const text = lengthPrefixedText(messageField(1, principal));
  return Buffer.from(text, "latin1");
}

function encodeRefusal({ reason, token, missingPermissions }: Refusal): Uint8Array {
  const refusal =
    varintField(1, numberOfReason[reason]) +
    stringFields(2, missingPermissions) +
    stringField(3, token?.id ?? "") +
    stringField(4, token?.account ?? "");
  return Buffer.from(lengthPrefixedText(messageField(2, refusal)), "latin1");
}

/** The fields of a google.protobuf.Timestamp, and of a Duration. */
function secondsAndNanos(ms: number): string {
  const seconds = Math.floor(ms / 1000);
  return varintField(1, seconds) + varintField(2, (ms - 1000 * seconds) * 1_000_000);
}
