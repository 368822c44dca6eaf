import type { StoredToken } from "../../authority/token.ts";
import type { HeaderFields } from "../../wire/exchange.ts";

/**
 * Who calls, as the upstream learns it: always all five, so that each replaces what the client may have sent. None is
 * empty, since gateways take an empty header for none: a secret key has the permissions `*`, and a publishable key
 * `none`.
 */
export function identityHeaders({ id, account, livemode, permissions, type }: StoredToken): HeaderFields {
  return [
    ["x-token-id", id],
    ["x-account", account],
    ["x-livemode", livemode ? "true" : "false"],
    ["x-permissions", type === "secret" ? "*" : permissions.join(",") || "none"],
    ["x-token-type", type],
  ];
}
