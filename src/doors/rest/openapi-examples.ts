import { AuthorityError, type Reason } from "../../authority/errors.ts";
import { headerTooLarge, type PublicError, publicErrorBody, publicRefusal } from "../../calls/public-error.ts";
import {
  bodyLate,
  bodyTooLarge,
  creationsLimited,
  fromAuthority,
  internal,
  mediaTypeUnsupported,
  parameterMissing,
  unavailable,
} from "./errors.ts";

const token = {
  id: "tok_2Zq8VhT5nKc0Rw4YbXe1",
  object: "token",
  name: "Webhook Server Key",
  type: "restricted",
  key_prefix: "rk_test_",
  permissions: ["payment_intents:read", "events:read", "webhook_endpoints:write"],
  last_used_at: null,
  expires_at: 1_893_456_000,
  livemode: false,
  created: 1_861_920_000,
  status: "active",
  revoked_at: null,
  key_hint: "0000",
  previous_key: null,
  held: false,
};

const previousKey = { key_hint: "1111", expires_at: 1_862_006_400, last_used_at: 1_861_923_600 };

const { name, type, permissions, expires_at } = token;

function error(told: PublicError): object {
  return JSON.parse(publicErrorBody(told, "req_0f9b2c4d6e8a1b3c5d7e9f01"));
}

function ofAuthority(reason: Reason): object {
  return error(fromAuthority(new AuthorityError(reason, { rule: "" })) ?? internal);
}

/** What the document shows beside its schemas. The key's checksum is wrong, so that no scanner takes it for one. */
export const examples = {
  token,
  created: { ...token, key: `rk_test_${"0".repeat(38)}` },
  rotated: {
    ...token,
    key: `rk_test_${"0".repeat(38)}`,
    last_used_at: previousKey.last_used_at,
    previous_key: previousKey,
  },
  rotate: { expire_current_key_in_minutes: 1440 },
  rotationEnded: { ...token, last_used_at: 1_861_930_800 },
  endRotation: { keep: "new" },
  revoked: { ...token, last_used_at: 1_861_923_600, status: "revoked", revoked_at: 1_861_927_200 },
  list: { object: "list", url: "/v1/tokens", has_more: false, data: [token] },
  create: { name, type, permissions, expires_at },
  revoke: { reason: "found in a public repository" },
  createForm: { name, "permissions[]": permissions },
  errors: {
    400: error(parameterMissing("name").told),
    401: error(publicRefusal("KEY_UNKNOWN", [])),
    403: error(publicRefusal("INSUFFICIENT_PERMISSIONS", ["tokens:write"])),
    404: ofAuthority("TOKEN_NOT_FOUND"),
    408: error(bodyLate),
    409: ofAuthority("REQUEST_ID_REUSED"),
    413: error(bodyTooLarge),
    415: error(mediaTypeUnsupported),
    429: error(creationsLimited),
    431: error(headerTooLarge),
    500: error(internal),
    503: error(unavailable),
  },
} as const;
