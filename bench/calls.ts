import { create, type DescMessage, type MessageInitShape, toBinary } from "@bufbuild/protobuf";
import { TokenType } from "#gen/casapay/token/v1/token_pb.ts";
import { TokenService } from "#gen/casapay/token/v1/token_service_pb.ts";
import { Authorization } from "#gen/envoy/service/auth/v3/external_auth_pb.ts";
import {
  bigAccount,
  type Population,
  randomAcceptedToken,
  randomSmallAccount,
  randomToken,
  rarePermission,
} from "./seeded-token.ts";

/** Which calls to make, in words that can be sent to another process. */
export type CallPlan =
  | {
      readonly kind: "authenticate" | "check" | "get" | "create" | "create_in_big_account";
      readonly population: Population;
    }
  /** Looks at 10 000 tokens in each call, and finds next to none. */
  | { readonly kind: "list_in_vain" };

export type Call = { readonly path: string; readonly message: Uint8Array };

type Calls = {
  /** The next call, with keys and ids drawn anew. */
  next(): Call;
  /** Whether an answer with status OK is the one that was to be expected. */
  isExpected(message: Uint8Array): boolean;
};

/** The tag of `principal` in AuthenticateResponse. */
const principalTag = 0x0a;
/** The tag of `ok_response` in CheckResponse, after an empty status. */
const okResponseTag = 0x1a;

export function callsOf(plan: CallPlan): Calls {
  switch (plan.kind) {
    case "authenticate":
      return {
        next: () => encode(TokenService.method.authenticate, { key: randomAcceptedToken(plan.population).key }),
        isExpected: (message) => message[0] === principalTag,
      };
    case "check":
      return {
        next: () => encodeCheck(randomAcceptedToken(plan.population).key),
        isExpected: (message) => message[2] === okResponseTag,
      };
    case "get":
      return withAnyAnswer(() => encode(TokenService.method.get, { id: randomToken(plan.population).id }));
    case "create":
      return withAnyAnswer(() => encodeCreate(randomSmallAccount(plan.population)));
    case "create_in_big_account":
      return withAnyAnswer(() => encodeCreate(bigAccount));
    case "list_in_vain": {
      const call = encode(TokenService.method.list, { permission: rarePermission, types: [TokenType.RESTRICTED] });
      return withAnyAnswer(() => call);
    }
  }
}

function withAnyAnswer(next: () => Call): Calls {
  return { next, isExpected: () => true };
}

function encodeCreate(account: string): Call {
  return encode(TokenService.method.create, {
    account,
    name: "Bench",
    type: TokenType.RESTRICTED,
    permissions: ["invoices:read", "events:write"],
  });
}

/** As much as Envoy says of a request from a browser or a library. */
function encodeCheck(key: string): Call {
  return encode(Authorization.method.check, {
    attributes: {
      source: { address: { address: { case: "socketAddress", value: { address: "203.0.113.7" } } } },
      destination: { address: { address: { case: "socketAddress", value: { address: "192.0.2.1" } } } },
      contextExtensions: { permission: "none" },
      request: {
        time: { seconds: 1_795_000_000n, nanos: 123_456_000 },
        http: {
          id: "4632178439527439867",
          method: "POST",
          headers: {
            ":authority": "api.casapay.example",
            ":method": "POST",
            ":path": "/v1/charges",
            ":scheme": "https",
            accept: "application/json",
            "accept-encoding": "gzip, deflate, br",
            authorization: `Bearer ${key}`,
            "content-length": "128",
            "content-type": "application/x-www-form-urlencoded",
            "user-agent": "casapay-node/8.1 (linux; x64) node/26.10.0",
            "x-envoy-auth-partial-body": "false",
            "x-forwarded-for": "203.0.113.7",
            "x-forwarded-proto": "https",
            "x-request-id": "0197e2b4-8c1e-7c30-9d5a-3f1f6f0d9c52",
          },
          path: "/v1/charges",
          host: "api.casapay.example",
          scheme: "https",
          size: 128n,
          protocol: "HTTP/2",
        },
      },
    },
  });
}

type Method<I extends DescMessage> = {
  readonly name: string;
  readonly parent: { readonly typeName: string };
  readonly input: I;
};

export function encode<I extends DescMessage>(method: Method<I>, request: MessageInitShape<I>): Call {
  return {
    path: `/${method.parent.typeName}/${method.name}`,
    message: toBinary(method.input, create(method.input, request)),
  };
}
