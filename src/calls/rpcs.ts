import type { DescMethod } from "@bufbuild/protobuf";
import { TokenService } from "#gen/casapay/token/v1/token_service_pb.ts";
import { Authorization } from "#gen/envoy/service/auth/v3/external_auth_pb.ts";

/** An RPC's name as policy, logs, metrics and traces have it: `package.Service/Method`. */
export function rpcName(method: DescMethod): string {
  return `${method.parent.typeName}/${method.name}`;
}

/** The name of each RPC of TokenService. */
export const tokenRpcs = {
  create: rpcName(TokenService.method.create),
  get: rpcName(TokenService.method.get),
  list: rpcName(TokenService.method.list),
  revoke: rpcName(TokenService.method.revoke),
  revokeTokens: rpcName(TokenService.method.revokeTokens),
  rotateKey: rpcName(TokenService.method.rotateKey),
  endRotation: rpcName(TokenService.method.endRotation),
  setHold: rpcName(TokenService.method.setHold),
  closeAccount: rpcName(TokenService.method.closeAccount),
  findByDigest: rpcName(TokenService.method.findByDigest),
  listChanges: rpcName(TokenService.method.listChanges),
  listAccounts: rpcName(TokenService.method.listAccounts),
  authenticate: rpcName(TokenService.method.authenticate),
  watch: rpcName(TokenService.method.watch),
} satisfies Record<keyof typeof TokenService.method, string>;

/** Envoy's Check. */
export const checkRpc = rpcName(Authorization.method.check);

/** Forward authentication: no RPC on the wire, and a call like the others. */
export const forwardAuthRpc = "forward-auth/authorize";

/** The calls that decide on a key for a gateway. */
export const decidingRpcs: ReadonlySet<string> = new Set([tokenRpcs.authenticate, checkRpc, forwardAuthRpc]);

/** The calls that look at tokens or change them. */
export const managementRpcs: ReadonlySet<string> = new Set(
  Object.values(tokenRpcs).filter((rpc) => rpc !== tokenRpcs.authenticate && rpc !== tokenRpcs.watch),
);
