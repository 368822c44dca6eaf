import { parameterSchemas, schemas, unixTime } from "./openapi-schemas.ts";

const json = "application/json";

const requestIdHeader = {
  "Request-Id": {
    description: "Names this request when you ask us about it.",
    required: true,
    schema: { type: "string", pattern: "^req_[0-9a-f]{24}$" },
  },
};

function answer(description: string, schema: keyof typeof schemas, headers: object = {}): object {
  return {
    description,
    headers: { ...requestIdHeader, ...headers },
    content: { [json]: { schema: { $ref: `#/components/schemas/${schema}` } } },
  };
}

const challenge = {
  "WWW-Authenticate": { description: "RFC 6750.", required: true, schema: { type: "string", pattern: "^Bearer " } },
};

const retryAfter = {
  "Retry-After": {
    description: "Seconds to wait.",
    required: true,
    schema: { type: "string", pattern: "^[1-9][0-9]*$" },
  },
};

/** Every error that an operation may answer, by status. */
const errors = {
  400: answer("A parameter is missing, unknown or not valid: see `param`.", "Error"),
  401: answer("No key, or one that is unknown, expired or revoked.", "Error", challenge),
  403: answer("The key may not do this.", "Error"),
  404: answer("The account has no such token in the key's mode.", "Error"),
  408: answer("The body took too long.", "Error"),
  409: answer("The Idempotency-Key was used with another body.", "Error"),
  413: answer("The body is longer than 64 KiB.", "Error"),
  415: answer("The body is neither JSON nor a form.", "Error"),
  429: answer("The account asks more often than it may.", "Error", retryAfter),
  500: answer("A fault on our side.", "Error"),
  431: answer("The header is too large: more than 16 KiB, or 128 fields.", "Error"),
  503: answer("Not answered just now. After a change the outcome is unknown: ask again.", "Error"),
};

type Status = keyof typeof errors;

const always: readonly Status[] = [400, 401, 403, 429, 431, 500, 503];

function answers(ok: object, more: readonly Status[] = []): object {
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
  ],
  responses: answers(answer("A page of tokens.", "TokenList")),
};

const create = {
  operationId: "createToken",
  summary: "Creates a restricted key, and shows it this once. Needs tokens:write.",
  description:
    "A secret key may give any permission. A restricted key may give those that it covers itself, but none of `tokens:`, and not for longer than it lives.",
  parameters: [
    {
      name: "Idempotency-Key",
      in: "header",
      description:
        "Makes it safe to send the request again: for 24 hours, the same text with the same body from the same key answers the same token and key. The nil and the max UUID are refused.",
      schema: { type: "string", minLength: 1, maxLength: 255, pattern: "^[ -~]+$" },
    },
  ],
  requestBody: {
    required: true,
    content: {
      [json]: { schema: { $ref: "#/components/schemas/CreateToken" } },
      "application/x-www-form-urlencoded": {
        schema: { $ref: "#/components/schemas/CreateTokenForm" },
        encoding: { "permissions[]": { style: "form", explode: true } },
      },
    },
  },
  responses: answers(answer("The token and its key.", "CreatedToken"), [408, 409, 413, 415]),
};

const tokenIdParameter = { name: "id", in: "path", required: true, schema: parameterSchemas.tokenId };

const get = {
  operationId: "getToken",
  summary: "Retrieves one token, whatever its status. Needs tokens:read.",
  responses: answers(answer("The token.", "Token"), [404]),
};

const revoke = {
  operationId: "revokeToken",
  summary:
    "Revokes a token for good: from the answer on, its key is refused. Again changes nothing. Needs tokens:write.",
  description: "A secret key may revoke any token, a restricted key the restricted ones whose permissions it covers.",
  responses: answers(answer("The token, revoked.", "Token"), [404, 408, 413, 415]),
};

const document = {
  operationId: "getDocument",
  summary: "This document.",
  security: [],
  responses: {
    200: {
      description: "OpenAPI 3.1.",
      headers: requestIdHeader,
      content: { [json]: { schema: { type: "object", required: ["openapi"] } } },
    },
  },
};

/** What the public REST face does, as OpenAPI 3.1 has it. The tests hold every answer against it. */
export const openApiDocument = {
  openapi: "3.1.0",
  info: {
    title: "CasaPay tokens",
    version: "1.0.0",
    summary: "API keys and access credentials for authenticating with the CasaPay API.",
    description: "Account and mode are those of the key. Unknown parameters are refused.",
  },
  security: [{ bearer: [] }, { basic: [] }, { apiKey: [] }],
  paths: {
    "/v1/tokens": { get: list, head: head(list), post: create },
    "/v1/tokens/{id}": { parameters: [tokenIdParameter], get, head: head(get) },
    "/v1/tokens/{id}/revoke": { parameters: [tokenIdParameter], post: revoke },
    "/v1/openapi.json": { get: document, head: head(document) },
  },
  components: {
    securitySchemes: {
      bearer: { type: "http", scheme: "bearer", description: "A secret key, or a restricted one with the permission." },
      basic: { type: "http", scheme: "basic", description: "The key as user name, no password: curl -u KEY:" },
      apiKey: { type: "apiKey", in: "header", name: "X-API-Key", description: "The key." },
    },
    schemas,
  },
};
