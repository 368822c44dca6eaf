import { fieldInvalid } from "../authority/errors.ts";
import type { AuthenticateRequest } from "../authority/judge.ts";
import { isPermission } from "../authority/permission.ts";
import { type TokenType, tokenTypes } from "../authority/token.ts";

/** What a route of a gateway asks of the key. */
export type Question = Omit<AuthenticateRequest, "key">;

const maxPermissions = 16;

/**
 * Reads the words that a gateway's configuration gives to a route: `permission`, one or more, or `none`; `livemode`, `true` or `false`;
 * `types`, of secret, publishable and restricted. Lists are parted by commas or spaces. A route that says no permission, or anything
 * else that makes no sense, throws FIELD_INVALID: nothing is decided for it. Values are not repeated, as one may be a key. Hot path.
 */
export function parseQuestion(words: Iterable<readonly [name: string, value: string]>): Question {
  let requiredPermissions: readonly string[] | null = null;
  let livemode: boolean | null = null;
  let allowedTypes: readonly TokenType[] | null = null;
  for (const [name, value] of words) {
    switch (name) {
      case "permission":
        requiredPermissions = once(name, requiredPermissions, parsePermissions(value));
        break;
      case "livemode":
        livemode = once(name, livemode, parseLivemode(value));
        break;
      case "types":
        allowedTypes = once(name, allowedTypes, parseTypes(value));
        break;
      default:
        throw fieldInvalid("the route", "may say permission, livemode and types, and nothing else");
    }
  }
  if (requiredPermissions === null) {
    throw fieldInvalid("permission", "must be said by the route: one or more, or none");
  }
  return { requiredPermissions, livemode, allowedTypes: allowedTypes ?? [] };
}

/** Two answers to one question may contradict each other. */
function once<Value>(name: string, before: Value | null, value: Value): Value {
  if (before !== null) {
    throw fieldInvalid(name, "must be said once: lists are parted by commas");
  }
  return value;
}

function parsePermissions(text: string): readonly string[] {
  const permissions = parseList(text);
  if (permissions.length === 1 && permissions[0] === "none") {
    return [];
  }
  if (permissions.length === 0 || permissions.length > maxPermissions || !permissions.every(isPermission)) {
    throw fieldInvalid(
      "permission",
      `must be none, or 1 to ${maxPermissions} of the form resource:read or resource:write`,
    );
  }
  return permissions;
}

function parseLivemode(text: string): boolean {
  if (text !== "true" && text !== "false") {
    throw fieldInvalid("livemode", "must be true or false");
  }
  return text === "true";
}

function parseTypes(text: string): readonly TokenType[] {
  const types = parseList(text).map((word) => tokenTypes.find((type) => type === word));
  if (types.length === 0 || types.length > tokenTypes.length) {
    throw typesInvalid();
  }
  return types.map((type) => {
    if (type === undefined) {
      throw typesInvalid();
    }
    return type;
  });
}

function typesInvalid() {
  return fieldInvalid("types", `must be of ${tokenTypes.join(", ")}`);
}

function parseList(text: string): readonly string[] {
  return text.split(/[ ,]+/).filter((word) => word !== "");
}
