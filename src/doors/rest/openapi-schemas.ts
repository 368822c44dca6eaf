// JSON Schema 2020-12. What the code refuses and a schema cannot say stands in the descriptions.

const permission = {
  type: "string",
  description: "resource:action. `write` covers `read` of the same resource.",
  pattern: "^[a-z][a-z0-9_]{0,62}:(read|write)$",
};

const permissions = {
  type: "array",
  description: "What the key may do. All different.",
  items: permission,
  minItems: 1,
  maxItems: 100,
  uniqueItems: true,
};

const tokenId = {
  type: "string",
  description: "The token's id.",
  pattern: "^tok_[0-9A-Za-z]{20,40}$",
};

const tokenType = { type: "string", enum: ["secret", "publishable", "restricted"] };

const tokenStatus = { type: "string", enum: ["active", "expired", "revoked"] };

/** Unix seconds, up to the end of the year 9999. */
export const unixTime = { type: "integer", minimum: 0, maximum: 253_402_300_799 };

function timeOrNull(description: string): object {
  return { ...unixTime, type: ["integer", "null"], description };
}

const name = {
  type: "string",
  description:
    "The token's name for people: no control characters or invisible ones, no key. Blanks around it are cut off.",
  minLength: 1,
  maxLength: 100,
  pattern: "^[^\\u0000-\\u001f\\u007f-\\u009f\\u2028\\u2029]+$",
};

const typeToCreate = {
  type: "string",
  description: "Other types are managed in the Dashboard.",
  enum: ["restricted"],
  default: "restricted",
};

const expiresAt =
  "When the key stops working, in Unix seconds: in the future. Null, the default: never. Where the lifetime of live keys is bounded, they need one within it: the error says how many days.";

const reason = {
  type: "string",
  description:
    "Why, for CasaPay's records: no control characters or invisible ones, no key. Blanks around it are cut off.",
  maxLength: 256,
  pattern: "^[^\\u0000-\\u001f\\u007f-\\u009f\\u2028\\u2029]*$",
};

const keyHint = { type: "string", description: "The last 4 characters of the key.", pattern: "^[0-9A-Za-z]{4}$" };

const token = {
  id: tokenId,
  object: { type: "string", const: "token" },
  name: { ...name, description: "The token's name for people." },
  type: tokenType,
  key_prefix: {
    type: "string",
    description: "The first 8 characters of the key.",
    pattern: "^(sk|pk|rk)_(live|test)_$",
  },
  permissions: { ...permissions, description: "What a restricted key may do; empty for other types.", minItems: 0 },
  last_used_at: timeOrNull("When the key was last accepted, as of about a minute ago. Null: never."),
  expires_at: timeOrNull("When the key stops working. Null: never."),
  livemode: { type: "boolean", description: "Whether the key acts on live or on test data." },
  created: { ...unixTime, description: "When the token was created." },
  status: {
    ...tokenStatus,
    description: "Whether the key works. A revoked one is revoked, whether or not it has expired.",
  },
  revoked_at: timeOrNull("When the token was revoked. Null: not revoked."),
  key_hint: keyHint,
  previous_key: {
    type: ["object", "null"],
    description: "The key before the last rotation, as long as it still works. Null: there is none.",
    properties: {
      key_hint: keyHint,
      expires_at: timeOrNull("When it stops working."),
      last_used_at: timeOrNull("When it was last accepted, as of about a minute ago. Null: never."),
    },
    required: ["key_hint", "expires_at", "last_used_at"],
    additionalProperties: false,
  },
  held: {
    type: "boolean",
    description:
      "Whether the token is held in the Dashboard: its key is refused until the hold is lifted, whatever the status.",
  },
};

function closedObject(
  properties: Readonly<Record<string, object>>,
  description: string,
  optional: readonly string[] = [],
): object {
  const required = Object.keys(properties).filter((property) => !optional.includes(property));
  return { type: "object", description, properties, required, additionalProperties: false };
}

/** The schemas that the document names. */
export const schemas = {
  Token: closedObject(token, "The record of one key. It never holds the key."),
  CreatedToken: closedObject(
    {
      ...token,
      key: {
        type: ["string", "null"],
        description: "The key, shown this once. Null only where an Idempotency-Key was sent again after the key's end.",
        pattern: "^rk_(live|test)_[0-9A-Za-z]{38}$",
      },
    },
    "A token, and its key.",
  ),
  TokenList: closedObject(
    {
      object: { type: "string", const: "list" },
      url: { type: "string", const: "/v1/tokens" },
      has_more: { type: "boolean", description: "Whether there are more in the direction that was asked for." },
      data: { type: "array", items: { $ref: "#/components/schemas/Token" }, maxItems: 100 },
    },
    "Tokens, newest first.",
  ),
  CreateToken: {
    type: "object",
    properties: { name, type: typeToCreate, permissions, expires_at: timeOrNull(expiresAt) },
    required: ["name", "permissions"],
    additionalProperties: false,
  },
  CreateTokenForm: {
    type: "object",
    description: "An array is written permissions[]=…&permissions[]=…, or with the numbers 0, 1, 2… in the brackets.",
    properties: {
      name,
      type: typeToCreate,
      "permissions[]": permissions,
      expires_at: { ...unixTime, description: expiresAt },
    },
    required: ["name", "permissions[]"],
    additionalProperties: false,
  },
  RotateToken: {
    type: "object",
    properties: {
      expire_current_key_in_minutes: {
        type: "integer",
        description:
          "How long the current key goes on working. 0, at once, needs an Idempotency-Key: with a lost answer nobody would have a key. Not 0 for the own token of the key that asks: it could not ask again.",
        minimum: 0,
        maximum: 10_080,
      },
    },
    required: ["expire_current_key_in_minutes"],
    additionalProperties: false,
  },
  EndRotation: {
    type: "object",
    properties: {
      keep: {
        type: "string",
        description: "The key that goes on working: the other one stops at once, for good.",
        enum: ["new", "old"],
      },
    },
    required: ["keep"],
    additionalProperties: false,
  },
  RevokeToken: {
    type: "object",
    description: "Nothing need be said.",
    properties: { reason },
    additionalProperties: false,
  },
  Error: closedObject(
    {
      error: closedObject(
        {
          type: {
            type: "string",
            enum: [
              "authentication_error",
              "permission_error",
              "invalid_request_error",
              "rate_limit_error",
              "api_error",
            ],
          },
          code: { type: "string", description: "For programs.", pattern: "^[a-z_]+$" },
          message: { type: "string", description: "For people." },
          param: { type: ["string", "null"], description: "The parameter that is at fault." },
          required_permissions: {
            ...permissions,
            description: "All that the request needs, with insufficient_permissions only. Also in WWW-Authenticate.",
            maxItems: 16,
          },
          request_id: { type: "string", description: "The same as in Request-Id.", pattern: "^req_[0-9a-f]{24}$" },
        },
        "What went wrong.",
        ["required_permissions"],
      ),
    },
    "Any answer that is not 200.",
  ),
};

export const parameterSchemas = { tokenId, tokenType, tokenStatus };
