import type { DescMethod, DescService } from "@bufbuild/protobuf";
import { TokenService } from "#gen/casapay/token/v1/token_service_pb.ts";
import { Authorization } from "#gen/envoy/service/auth/v3/external_auth_pb.ts";
import { Health } from "#gen/grpc/health/v1/health_pb.ts";
import { ServerReflection } from "#gen/grpc/reflection/v1/reflection_pb.ts";
import { ServerReflection as ServerReflectionAlpha } from "#gen/grpc/reflection/v1alpha/reflection_pb.ts";
import type { Role } from "../authority/caller.ts";

/** Who may call an RPC: callers with one of these roles, or whoever has an identity. */
export type Permitted = readonly Role[] | "anyone identified";

type Table<Service extends DescService> = Record<keyof Service["method"], Permitted>;

const management: readonly Role[] = ["service", "dashboard", "operator"];

const tokenServicePolicy = {
  create: management,
  get: management,
  list: management,
  revoke: management,
  findByDigest: ["dashboard", "operator"],
  listChanges: management,
  listAccounts: ["operator"],
  authenticate: ["gateway", "operator"],
} satisfies Table<typeof TokenService>;

const authorizationPolicy = {
  check: ["gateway", "operator"],
} satisfies Table<typeof Authorization>;

const healthPolicy = {
  check: "anyone identified",
  watch: "anyone identified",
  list: "anyone identified",
} satisfies Table<typeof Health>;

const reflectionPolicy = {
  serverReflectionInfo: "anyone identified",
} satisfies Table<typeof ServerReflection> & Table<typeof ServerReflectionAlpha>;

const policies: readonly (readonly [DescService, Readonly<Record<string, Permitted>>])[] = [
  [TokenService, tokenServicePolicy],
  [Authorization, authorizationPolicy],
  [Health, healthPolicy],
  [ServerReflection, reflectionPolicy],
  [ServerReflectionAlpha, reflectionPolicy],
];

/** Who may call this RPC. An RPC without a row is for nobody. */
export function permittedFor(method: DescMethod): Permitted {
  const policy = policies.find(([service]) => service.typeName === method.parent.typeName)?.[1];
  return policy !== undefined && Object.hasOwn(policy, method.localName) ? (policy[method.localName] ?? []) : [];
}

/** Whether a caller with this role, or with none, may call the RPC. */
export function mayCall(permitted: Permitted, role: Role | null): boolean {
  return permitted === "anyone identified" || (role !== null && permitted.includes(role));
}
