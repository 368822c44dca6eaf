import type { DescService } from "@bufbuild/protobuf";
import { TokenService } from "#gen/casapay/token/v1/token_service_pb.ts";
import { Authorization } from "#gen/envoy/service/auth/v3/external_auth_pb.ts";
import { Health } from "#gen/grpc/health/v1/health_pb.ts";
import { ServerReflection } from "#gen/grpc/reflection/v1/reflection_pb.ts";
import { ServerReflection as ServerReflectionAlpha } from "#gen/grpc/reflection/v1alpha/reflection_pb.ts";
import type { Role } from "../authority/caller.ts";
import { rpcName } from "./rpcs.ts";

/** Who may call an RPC: callers with one of these roles, or every caller that has an identity. */
export type Permitted = readonly Role[] | "anyone identified";

/** Who may call which RPC. */
const policy: ReadonlyMap<string, Permitted> = new Map([
  ...rows(TokenService, {
    create: ["service", "dashboard", "operator"],
    get: ["service", "dashboard", "operator"],
    list: ["service", "dashboard", "operator"],
    revoke: ["service", "dashboard", "operator"],
    revokeTokens: ["dashboard", "operator"],
    rotateKey: ["service", "dashboard", "operator"],
    endRotation: ["service", "dashboard", "operator"],
    setHold: ["dashboard", "operator"],
    closeAccount: ["dashboard", "operator"],
    findByDigest: ["dashboard", "operator"],
    listChanges: ["service", "dashboard", "operator"],
    listAccounts: ["operator"],
    authenticate: ["gateway", "operator"],
    watch: ["gateway", "operator"],
  }),
  // Forward authentication asks the same question, and has the same callers.
  ...rows(Authorization, { check: ["gateway", "operator"] }),
  ...rows(Health, { check: "anyone identified", watch: "anyone identified", list: "anyone identified" }),
  ...rows(ServerReflection, { serverReflectionInfo: "anyone identified" }),
  ...rows(ServerReflectionAlpha, { serverReflectionInfo: "anyone identified" }),
]);

/** Who may call this RPC, by its full name. An RPC without a row is for nobody. */
export function permittedFor(rpc: string): Permitted {
  return policy.get(rpc) ?? [];
}

/** Whether a caller with this role, or with none, may call the RPC. */
export function mayCall(permitted: Permitted, role: Role | null): boolean {
  return permitted === "anyone identified" || (role !== null && permitted.includes(role));
}

/** A row for each RPC of the service: one that is missing does not compile. */
function rows<Service extends DescService>(
  service: Service,
  permitted: Readonly<Record<keyof Service["method"], Permitted>>,
): readonly (readonly [rpc: string, Permitted])[] {
  return service.methods.map((method) => {
    const name: keyof Service["method"] = method.localName;
    return [rpcName(method), permitted[name]];
  });
}
