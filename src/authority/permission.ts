import type { TokenType } from "./token.ts";

const permissionPattern = /^[a-z][a-z0-9_]{0,62}:(read|write)$/;

/** Whether the text is `resource:action`, as token.proto defines it. */
export function isPermission(text: string): boolean {
  return permissionPattern.test(text);
}

/** The permissions that cover this one: itself, and for `read` also `write` of the same resource. */
export function coveringPermissions(permission: string): readonly string[] {
  return permission.endsWith(":read") ? [permission, `${permission.slice(0, -":read".length)}:write`] : [permission];
}

/** Which of the required permissions a key of this type, given these permissions, does not cover. */
export function missingPermissions(
  type: TokenType,
  given: readonly string[],
  required: readonly string[],
): readonly string[] {
  if (required.length === 0 || type === "secret") {
    return [];
  }
  if (type === "publishable") {
    return required;
  }
  return required.filter((permission) => !coveringPermissions(permission).some((one) => given.includes(one)));
}
