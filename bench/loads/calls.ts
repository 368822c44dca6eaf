import { create, type DescMessage, type MessageInitShape, toBinary } from "@bufbuild/protobuf";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import { TokenType } from "#gen/casapay/token/v1/token_pb.ts";
import { TokenService } from "#gen/casapay/token/v1/token_service_pb.ts";
import {
  bigAccount,
  type Population,
  randomAcceptedToken,
  randomSmallAccount,
  randomToken,
  rarePermission,
  unrevokedTokens,
} from "../population/seeded-token.ts";

/** Which calls to make, in words that can be sent to another process. */
export type CallPlan =
  | { readonly kind: "authenticate" | "get" | "create" | "create_in_big_account"; readonly population: Population }
  /** Revokes tokens that are not revoked, each once, from the one numbered `first` on. */
  | { readonly kind: "revoke"; readonly population: Population; readonly first: number }
  /** Revokes publishable tokens by filter, a thousand a call: those created since then, up to the revision. */
  | { readonly kind: "revoke_tokens"; readonly createdFromMs: number; readonly upToRevision: number }
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

export function callsOf(plan: CallPlan): Calls {
  switch (plan.kind) {
    case "authenticate":
      return {
        next: () => encode(TokenService.method.authenticate, { key: randomAcceptedToken(plan.population).key }),
        isExpected: (message) => message[0] === principalTag,
      };
    case "get":
      return withAnyAnswer(() => encode(TokenService.method.get, { id: randomToken(plan.population).id }));
    case "create":
      return withAnyAnswer(() => encodeCreate(randomSmallAccount(plan.population)));
    case "create_in_big_account":
      return withAnyAnswer(() => encodeCreate(bigAccount));
    case "revoke": {
      const tokens = unrevokedTokens(plan.population, plan.first);
      return withAnyAnswer(() => encode(TokenService.method.revoke, { id: tokens.next().value.id, reason: "bench" }));
    }
    case "revoke_tokens": {
      const call = encode(TokenService.method.revokeTokens, {
        // Their keys are not among those that are authenticated.
        filter: { types: [TokenType.PUBLISHABLE], createdFrom: timestampFromMs(plan.createdFromMs) },
        ...{ force: true, upToRevision: BigInt(plan.upToRevision), reason: "bench" },
      });
      return withAnyAnswer(() => call);
    }
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
