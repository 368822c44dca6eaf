import { examples } from "./openapi-examples.ts";
import { parameterSchemas, schemas, unixTime } from "./openapi-schemas.ts";

const json = "application/json";
const form = "application/x-www-form-urlencoded";

const requestIdHeader = {
  "Request-Id": {
    description: "Names this request when you ask us about it.",
    required: true,
    schema: { type: "string", pattern: "^req_[0-9a-f]{24}$" },
  },
};

function answer(description: string, schema: keyof typeof schemas, example: object, headers: object = {}): object {
  return {
    description,
    headers: { ...requestIdHeader, ...headers },
    content: { [json]: { schema: { $ref: `#/components/schemas/${schema}` }, example } },
  };
}

function refusal(description: string, example: object, headers: object = {}): object {
  return answer(description, "Error", example, headers);
}

const challenge = {
  "WWW-Authenticate": { description: "RFC 6750.", required: true, schema: { type: "string", pattern: "^Bearer " } },
};

const scopeChallenge = {
  "WWW-Authenticate": {
    description: "With insufficient_permissions: RFC 6750, with all permissions that the request needs as `scope`.",
    required: false,
    schema: { type: "string", pattern: '^Bearer .*, error="insufficient_scope", scope="[a-z0-9_: ]+"$' },
  },
};

const retryAfter = {
  "Retry-After": {
    description: "Seconds to wait.",
    required: true,
    schema: { type: "string", pattern: "^[1-9][0-9]*$" },
  },
};

/** Every error that an operation may answer, by status. The examples are made of what is answered. */
const errors = {
  400: refusal("A parameter is missing, unknown or not valid: see `param`.", examples.errors[400]),
  401: refusal(
    "No key, or one that is unknown, expired, retired, revoked or of a closed account.",
    examples.errors[401],
    challenge,
  ),
  403: refusal("The key may not do this, or is held.", examples.errors[403], scopeChallenge),
  404: refusal("The account has no such token in the key's mode.", examples.errors[404]),
  408: refusal("The body took too long.", examples.errors[408]),
  409: refusal(
    "The Idempotency-Key was used with another body, or the token is not in a state for this: see `code`.",
    examples.errors[409],
  ),
  413: refusal("The body is longer than 64 KiB.", examples.errors[413]),
  415: refusal("The body is neither JSON nor a form.", examples.errors[415]),
  429: refusal("The account asks more often than it may.", examples.errors[429], retryAfter),
  500: refusal("A fault on our side.", examples.errors[500]),
  431: refusal("The header is too large: more than 16 KiB, or 128 fields.", examples.errors[431]),
  503: refusal("Not answered just now. After a change the outcome is unknown: ask again.", examples.errors[503]),
};

type ErrorStatus = keyof typeof errors;

const always: readonly ErrorStatus[] = [400, 401, 403, 429, 431, 500, 503];

function answers(ok: object, more: readonly ErrorStatus[] = []): object {
  return { 200: ok, ...Object.fromEntries([...always, ...more].map((status) => [status, errors[status]])) };
}

/** What GET answers, without its bodies. */
function head(operation: { readonly operationId: string; readonly responses: object }): object {
  const responses = Object.entries(operation.responses).map(([status, { content: _, ...rest }]) => [status, rest]);
  return { ...operation, operationId: `${operation.operationId}Head`, responses: Object.fromEntries(responses) };
}

function query(name: string, description: string, schema: object): object {
  return { name, in: "query", description, schema };
}

const list = {
  tags: ["tokens"],
  operationId: "listTokens",
  summary: "Lists the account's tokens in the key's mode, newest first, revoked ones included. Needs tokens:read.",
  parameters: [
    query("limit", "How many at the most.", { type: "integer", minimum: 1, maximum: 100, default: 10 }),
    query("starting_after", "A token's id: only older ones.", parameterSchemas.tokenId),
    query("ending_before", "A token's id: only newer ones. Not with starting_after.", parameterSchemas.tokenId),
    query("type", "Only tokens of this type.", parameterSchemas.tokenType),
    query("status", "Only tokens that now have this status.", parameterSchemas.tokenStatus),
    query("created[gte]", "Only tokens created at this time or later.", unixTime),
    query("created[gt]", "Only tokens created after this time.", unixTime),
    query("created[lte]", "Only tokens created at this time or before.", unixTime),
    query("created[lt]", "Only tokens created before this time.", unixTime),
    query("expires_at[gte]", "Only tokens that expire at this time or later. Not those that never do.", unixTime),
    query("expires_at[gt]", "Only tokens that expire after this time. Not those that never do.", unixTime),
    query("expires_at[lte]", "Only tokens that expire at this time or before.", unixTime),
    query("expires_at[lt]", "Only tokens that expire before this time.", unixTime),
  ],
  responses: answers(answer("A page of tokens.", "TokenList", examples.list)),
};

const idempotencyKey = {
  name: "Idempotency-Key",
  in: "header",
  description:
    "Makes it safe to send the request again: for 24 hours, the same text with the same body from the same key's token answers the same token and key. The nil and the max UUID are refused.",
  schema: { type: "string", minLength: 1, maxLength: 255, pattern: "^[ -~]+$" },
};

const create = {
  tags: ["tokens"],
  operationId: "createToken",
  summary: "Creates a restricted key, and shows it this once. Needs tokens:write.",
  description:
    "A secret key may give any permission. A restricted key may give those that it covers itself, but none of `tokens:`, and not for longer than it lives.",
  parameters: [idempotencyKey],
  requestBody: {
    required: true,
    content: {
      [json]: { schema: { $ref: "#/components/schemas/CreateToken" }, example: examples.create },
      [form]: {
        schema: { $ref: "#/components/schemas/CreateTokenForm" },
        example: examples.createForm,
        encoding: { "permissions[]": { style: "form", explode: true } },
      },
    },
  },
  responses: answers(answer("The token and its key.", "CreatedToken", examples.created), [408, 409, 413, 415]),
};

const tokenIdParameter = { name: "id", in: "path", required: true, schema: parameterSchemas.tokenId };

const get = {
  tags: ["tokens"],
  operationId: "getToken",
  summary: "Retrieves one token, whatever its status. Needs tokens:read.",
  responses: answers(answer("The token.", "Token", examples.token), [404]),
};

function body(schema: keyof typeof schemas, example: object, required: boolean): object {
  const content = { schema: { $ref: `#/components/schemas/${schema}` }, example };
  return { required, content: { [json]: content, [form]: content } };
}

const revokeBody = body("RevokeToken", examples.revoke, false);

const rotate = {
  tags: ["tokens"],
  operationId: "rotateToken",
  summary: "Gives a restricted key's token a new key, and shows it this once. Needs tokens:write.",
  description:
    "Both keys work until the current one stops: see `previous_key`. A secret key may rotate any restricted key, a restricted key those whose permissions it covers and that live no longer than it does, itself included. Until the new key is used, another rotation replaces it. Secret and publishable keys are rotated in the Dashboard.",
  parameters: [idempotencyKey],
  requestBody: body("RotateToken", examples.rotate, true),
  responses: answers(answer("The token and its new key.", "CreatedToken", examples.rotated), [404, 408, 409, 413, 415]),
};

const endRotation = {
  tags: ["tokens"],
  operationId: "endRotation",
  summary: "Ends a rotation: the key that is not kept is refused from the answer on. Needs tokens:write.",
  description:
    "Keeps the new key, or takes the rotation back and keeps the old one. Again changes nothing. A key that was stopped never works again.",
  requestBody: body("EndRotation", examples.endRotation, true),
  responses: answers(answer("The token.", "Token", examples.rotationEnded), [404, 408, 409, 413, 415]),
};

const revoke = {
  tags: ["tokens"],
  operationId: "revokeToken",
  summary:
    "Revokes a token for good: from the answer on, its key is refused. Again changes nothing. Needs tokens:write.",
  description: "A secret key may revoke any token, a restricted key the restricted ones whose permissions it covers.",
  requestBody: revokeBody,
  responses: answers(answer("The token, revoked.", "Token", examples.revoked), [404, 408, 413, 415]),
};

const getSelf = {
  tags: ["tokens"],
  operationId: "getSelf",
  summary: "Retrieves the token of the key that asks. Every key that is good may ask, publishable ones too.",
  description: "Tells a key that is good (200) from one that is not (401). Asking counts as a use of the key.",
  responses: answers(answer("The key's own token.", "Token", examples.token)),
};

const revokeSelf = {
  tags: ["tokens"],
  operationId: "revokeSelf",
  summary:
    "Revokes the token of the key that asks, for good: from the answer on, the key is refused. Needs no permission.",
  description: "For secret and restricted keys. Again, because the answer was lost, answers 401 `token_revoked`.",
  requestBody: revokeBody,
  responses: answers(answer("The key's own token, revoked.", "Token", examples.revoked), [408, 413, 415]),
};

const document = {
  tags: ["tokens"],
  operationId: "getDocument",
  summary: "This document.",
  security: [],
  responses: {
    200: {
      description: "OpenAPI 3.1.",
      headers: requestIdHeader,
      content: {
        [json]: { schema: { type: "object", properties: { openapi: { type: "string" } }, required: ["openapi"] } },
      },
    },
  },
};

/** What the public REST API does, as OpenAPI 3.1 has it. The tests hold every answer against it. */
export const openApiDocument = {
  openapi: "3.1.0",
  info: {
    title: "CasaPay tokens",
    version: "1.0.0",
    summary: "API keys and access credentials for authenticating with the CasaPay API.",
    description: "Account and mode are those of the key. Unknown parameters are refused.",
    license: { name: "MIT", identifier: "MIT" },
  },
  servers: [{ url: "https://api.casapay.com", description: "The public API." }],
  tags: [{ name: "tokens", description: "API keys: one token each." }],
  security: [{ bearer: [] }, { basic: [] }, { apiKey: [] }],
  paths: {
    "/v1/tokens": { get: list, head: head(list), post: create },
    "/v1/tokens/self": { get: getSelf, head: head(getSelf) },
    "/v1/tokens/self/revoke": { post: revokeSelf },
    "/v1/tokens/{id}": { parameters: [tokenIdParameter], get, head: head(get) },
    "/v1/tokens/{id}/revoke": { parameters: [tokenIdParameter], post: revoke },
    "/v1/tokens/{id}/rotate": { parameters: [tokenIdParameter], post: rotate },
    "/v1/tokens/{id}/rotate/end": { parameters: [tokenIdParameter], post: endRotation },
    "/v1/openapi.json": { get: document, head: head(document) },
  },
  components: {
    securitySchemes: {
      bearer: { type: "http", scheme: "bearer", description: "The key: what it may do is said at each operation." },
      basic: { type: "http", scheme: "basic", description: "The key as user name, no password: curl -u KEY:" },
      apiKey: { type: "apiKey", in: "header", name: "X-API-Key", description: "The key." },
    },
    schemas,
  },
};
