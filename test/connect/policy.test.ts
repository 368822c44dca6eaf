import type { DescMethod, DescMethodStreaming, DescMethodUnary } from "@bufbuild/protobuf";
import { createAsyncIterable } from "@connectrpc/connect/protocol";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { TokenService } from "#gen/casapay/token/v1/token_service_pb.ts";
import { Authorization } from "#gen/envoy/service/auth/v3/external_auth_pb.ts";
import { Health } from "#gen/grpc/health/v1/health_pb.ts";
import { ServerReflection } from "#gen/grpc/reflection/v1/reflection_pb.ts";
import { ServerReflection as ServerReflectionAlpha } from "#gen/grpc/reflection/v1alpha/reflection_pb.ts";
import { roles } from "../../src/authority/caller.ts";
import { mayCall, permittedFor } from "../../src/calls/policy.ts";
import { rpcName } from "../../src/calls/rpcs.ts";
import { ConnectRig, errorOf, type Protocol, peerOf, protocols, tlsPeer } from "./connect-rig.ts";

const identities = ["none", "unknown", ...roles] as const;
type Identity = (typeof identities)[number];

const peers = {
  none: tlsPeer(null),
  unknown: tlsPeer("spiffe://casapay/stranger"),
  gateway: peerOf("gateway"),
  service: peerOf("service"),
  dashboard: peerOf("dashboard"),
  operator: peerOf("operator"),
} satisfies Record<Identity, unknown>;

// Written out from the comments of token_service.proto, apart from the table that the server has.
const allowed: Readonly<Record<string, readonly Identity[]>> = {
  "casapay.token.v1.TokenService/Create": ["service", "dashboard", "operator"],
  "casapay.token.v1.TokenService/Get": ["service", "dashboard", "operator"],
  "casapay.token.v1.TokenService/List": ["service", "dashboard", "operator"],
  "casapay.token.v1.TokenService/Revoke": ["service", "dashboard", "operator"],
  "casapay.token.v1.TokenService/RevokeTokens": ["dashboard", "operator"],
  "casapay.token.v1.TokenService/RotateKey": ["service", "dashboard", "operator"],
  "casapay.token.v1.TokenService/EndRotation": ["service", "dashboard", "operator"],
  "casapay.token.v1.TokenService/SetHold": ["dashboard", "operator"],
  "casapay.token.v1.TokenService/CloseAccount": ["dashboard", "operator"],
  "casapay.token.v1.TokenService/FindByDigest": ["dashboard", "operator"],
  "casapay.token.v1.TokenService/ListChanges": ["service", "dashboard", "operator"],
  "casapay.token.v1.TokenService/ListAccounts": ["operator"],
  "casapay.token.v1.TokenService/Authenticate": ["gateway", "operator"],
  "casapay.token.v1.TokenService/Watch": ["gateway", "operator"],
};
const identified: readonly Identity[] = ["unknown", ...roles];

const methods: readonly DescMethod[] = [TokenService, Health, ServerReflection, ServerReflectionAlpha].flatMap(
  (service) => service.methods,
);

let rig: ConnectRig;
beforeAll(async () => {
  rig = await ConnectRig.start();
});
afterAll(() => rig[Symbol.asyncDispose]());

for (const method of methods) {
  const name = `${method.parent.typeName}/${method.name}`;
  describe(name, () => {
    for (const identity of identities) {
      const isAllowed = (allowed[name] ?? identified).includes(identity);
      for (const protocol of protocols) {
        it(`${isAllowed ? "answers" : "refuses"} the caller "${identity}" over ${protocol}`, async () => {
          const bodyReads = rig.bodyReads;
          const refusal = refusalIn(await call(method, identity, protocol));
          if (isAllowed) {
            expect(refusal).toBeNull();
            expect(rig.bodyReads).toBeGreaterThan(bodyReads);
          } else {
            expect(refusal).toBe(expectedRefusal(identity));
            expect(rig.bodyReads, "the body was read").toBe(bodyReads);
            expect(rig.calls.at(-1)).toMatchObject({ rpc: name, protocol, caller: peers[identity].identity });
          }
        });
      }
    }
  });
}

it("has every RPC of the contract in the matrix", () => {
  expect(TokenService.methods.map((method) => `${method.parent.typeName}/${method.name}`)).toEqual(
    expect.arrayContaining(Object.keys(allowed)),
  );
  expect(Object.keys(allowed)).toHaveLength(TokenService.methods.length);
});

it("refuses everybody an RPC that has no row", () => {
  const method = { ...TokenService.method.create, name: "Export", localName: "export" };
  for (const role of roles) {
    expect(mayCall(permittedFor(rpcName(method)), role)).toBe(false);
  }
  for (const inherited of ["toString", "constructor", "__proto__"]) {
    expect(mayCall(permittedFor(inherited), "operator")).toBe(false);
  }
});

it("looks the role up for each call", async () => {
  const identity = "spiffe://casapay/newcomer";
  const get = async () => {
    try {
      await rig.client(TokenService, tlsPeer(identity)).get({ id: "tok_00000000000000000000" });
      return "ok";
    } catch (error) {
      return errorOf(error).reason;
    }
  };
  expect(await get()).toBe("CALLER_UNKNOWN");
  rig.roles.set(identity, "service");
  expect(await get()).toBe("TOKEN_NOT_FOUND");
  rig.roles.set(identity, "gateway");
  expect(await get()).toBe("ROLE_NOT_ALLOWED");
  rig.roles.delete(identity);
  expect(await get()).toBe("CALLER_UNKNOWN");
});

function expectedRefusal(identity: Identity): string {
  switch (identity) {
    case "none":
      return "Unauthenticated CALLER_UNIDENTIFIED token.casapay.com";
    case "unknown":
      return "PermissionDenied CALLER_UNKNOWN token.casapay.com";
    default:
      return "PermissionDenied ROLE_NOT_ALLOWED token.casapay.com";
  }
}

function refusalIn(error: unknown): string | null {
  const { code, reason, domain } = errorOf(error);
  const isRefusal = code === "Unauthenticated" || code === "PermissionDenied";
  return error !== null && isRefusal ? `${code} ${reason} ${domain}` : null;
}

/** Calls with an empty message. Answers the error, or null. */
async function call(method: DescMethod, identity: Identity, protocol: Protocol): Promise<unknown> {
  const transport = rig.transport(peers[identity], protocol);
  const leaving = new AbortController();
  try {
    if (method.methodKind === "unary") {
      await transport.unary(method as DescMethodUnary, undefined, undefined, undefined, {});
    } else {
      const { message } = await transport.stream(
        method as DescMethodStreaming,
        leaving.signal,
        undefined,
        undefined,
        createAsyncIterable([{}]),
      );
      for await (const _ of message) {
        break;
      }
    }
    return null;
  } catch (error) {
    return error;
  } finally {
    leaving.abort();
  }
}

it("lets gateways and operators ask Envoy's question", () => {
  const permitted = permittedFor(rpcName(Authorization.method.check));
  expect(roles.filter((role) => mayCall(permitted, role))).toEqual(["gateway", "operator"]);
});

it("lets nobody call an RPC without a row: of another service, or one that came later", () => {
  const later = { ...TokenService.method.get, name: "GetLater", localName: "getLater" };
  const foreign = {
    ...TokenService.method.get,
    parent: { ...TokenService, typeName: "casapay.other.v1.OtherService" },
  };
  for (const rpc of [later, foreign].map(rpcName)) {
    expect(permittedFor(rpc)).toEqual([]);
    expect([...roles, null].filter((role) => mayCall(permittedFor(rpc), role))).toEqual([]);
  }
  expect(mayCall(permittedFor(rpcName(TokenService.method.get)), null)).toBe(false);
});
