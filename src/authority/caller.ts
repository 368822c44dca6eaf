import type { TokenType } from "./token.ts";

export const roles = ["gateway", "service", "dashboard", "operator"] as const;
/** What a calling service may do; which RPCs each may call stands beside the RPCs. */
export type Role = (typeof roles)[number];

/**
 * Who calls: the identity of its certificate, or `local`, and the role it has now. A bearer is the holder of a key, and
 * no service: its identity is the id of its token, and no file gives it a role.
 */
export type Caller =
  | { readonly identity: string; readonly role: Role }
  | {
      readonly identity: string;
      readonly role: "bearer";
      /** The change that issued the key. */
      readonly key: number;
    };

const creatableTypes = {
  gateway: [],
  service: ["restricted"],
  dashboard: ["secret", "publishable", "restricted"],
  operator: ["secret", "publishable", "restricted"],
  bearer: ["restricted"],
} satisfies Record<Caller["role"], readonly TokenType[]>;

/** Whether this role may create tokens of this type, and rotate their keys. */
export function mayCreate(role: Caller["role"], type: TokenType): boolean {
  const types: readonly TokenType[] = creatableTypes[role];
  return types.includes(type);
}

/** Whether this role may list what belongs to all accounts at once. */
export function mayListAllAccounts(role: Caller["role"]): boolean {
  return role === "operator";
}
