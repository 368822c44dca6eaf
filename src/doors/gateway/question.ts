import { type AuthorityError, fieldInvalid } from "../../authority/errors.ts";
import type { AuthenticateRequest } from "../../authority/judge.ts";
import { isPermission } from "../../authority/permission.ts";
import { type TokenType, tokenTypes } from "../../authority/token.ts";

/** What a route of a gateway asks of the key. */
export type Question = Omit<AuthenticateRequest, "key">;

const maxPermissions = 16;
const maxLoggedWords = 8;

/**
 * Reads the words that a gateway's configuration gives to a route: `permission`, one or more, or `none`; `livemode`,
 * `true` or `false`; `types`, of secret, publishable and restricted. Lists are parted by commas or spaces. A route that
 * says no permission, or anything else that makes no sense, throws FIELD_INVALID: nothing is decided for it. Values are
 * repeated for the log alone, whose details say which word of which route is to be changed.
 */
export function parseQuestion(words: Iterable<readonly [name: string, value: string]>): Question {
  let requiredPermissions: readonly string[] | null = null;
  let livemode: boolean | null = null;
  let allowedTypes: readonly TokenType[] | null = null;
  for (const [name, value] of words) {
    switch (name) {
      case "permission":
        requireFirst(words, name, value, requiredPermissions);
        requiredPermissions = parsePermissions(words, value);
        break;
      case "livemode":
        requireFirst(words, name, value, livemode);
        livemode = parseLivemode(words, value);
        break;
      case "types":
        requireFirst(words, name, value, allowedTypes);
        allowedTypes = parseTypes(words, value);
        break;
      default:
        throw routeInvalid(words, name, value, "may say permission, livemode and types, and nothing else", "the route");
    }
  }
  if (requiredPermissions === null) {
    throw routeInvalid(words, "permission", "", "must be said by the route: one or more, or none");
  }
  return { requiredPermissions, livemode, allowedTypes: allowedTypes ?? [] };
}

type Words = Iterable<readonly [name: string, value: string]>;

/** Two answers to one question may contradict each other. */
function requireFirst(words: Words, name: string, value: string, before: unknown): void {
  if (before !== null) {
    throw routeInvalid(words, name, value, "must be said once: lists are parted by commas");
  }
}

function parsePermissions(words: Words, text: string): readonly string[] {
  const permissions = parseList(text);
  if (permissions.length === 1 && permissions[0] === "none") {
    return [];
  }
  if (permissions.length === 0 || permissions.length > maxPermissions || !permissions.every(isPermission)) {
    const rule = `must be none, or 1 to ${maxPermissions} of the form resource:read or resource:write`;
    throw routeInvalid(words, "permission", text, rule);
  }
  return permissions;
}

function parseLivemode(words: Words, text: string): boolean {
  if (text !== "true" && text !== "false") {
    throw routeInvalid(words, "livemode", text, "must be true or false");
  }
  return text === "true";
}

function parseTypes(words: Words, text: string): readonly TokenType[] {
  const types: TokenType[] = [];
  for (const word of parseList(text)) {
    const type = tokenTypes.find((one) => one === word);
    if (type === undefined) {
      throw typesInvalid(words, text);
    }
    types.push(type);
  }
  if (types.length === 0 || types.length > tokenTypes.length) {
    throw typesInvalid(words, text);
  }
  return types;
}

function typesInvalid(words: Words, text: string): AuthorityError {
  return routeInvalid(words, "types", text, `must be of ${tokenTypes.join(", ")}`);
}

function parseList(text: string): readonly string[] {
  return text.split(/[ ,]+/).filter((word) => word !== "");
}

/** `called` is what the gateway is told in place of the name, where that could be anything. */
function routeInvalid(words: Words, name: string, value: string, rule: string, called = name): AuthorityError {
  const route = Array.from(words, (word) => word.map(sayable).join("="))
    .slice(0, maxLoggedWords)
    .join("&");
  return fieldInvalid(called, rule, {
    field: sayable(name),
    value: sayable(value),
    route,
    change: "this word of this route, in the gateway's configuration",
  });
}

/** Words are the gateway's, but a key may have got among them, or what is left of one. */
function sayable(text: string): string {
  return /^[\w:., -]{0,200}$/.test(text) && !/[spr]k_(live|test)_/i.test(text) ? text : "(withheld)";
}
