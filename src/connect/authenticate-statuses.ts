import type { Code, ConnectError } from "@connectrpc/connect";
import { setTrailerStatus } from "@connectrpc/connect/protocol-grpc";
import { AuthenticateRequestSchema, TokenService } from "#gen/casapay/token/v1/token_service_pb.ts";
import type { Peer, Role } from "../authority/caller.ts";
import { AuthorityError } from "../authority/errors.ts";
import { createFaultLog } from "../authority/fault-log.ts";
import type { Log } from "../authority/log.ts";
import { rpcName } from "./call.ts";
import {
  callCanceled,
  compressionUnnamed,
  deadlineExceeded,
  fromAuthorityError,
  internalError,
  reasonOf,
  requestMalformed,
  requestNotSupported,
  requestTooLarge,
  unknownFieldNumber,
} from "./errors.ts";
import { codeName } from "./finished-call.ts";
import { typesInvalid } from "./from-message.ts";
import { objectionTo, type RoleOf } from "./gate.ts";
import { maxMessageBytes } from "./limits.ts";

/** An error of Authenticate, as gRPC carries it. */
type Status = {
  readonly code: Code;
  readonly codeName: string;
  readonly reason: string | null;
  readonly message: string;
  /** The encoded google.rpc.Status. */
  readonly detailsBin: Uint8Array;
};

/** Who may authenticate keys, and in which words Authenticate fails: for those who answer it without Connect. */
export function createAuthenticateStatuses({ roleOf, log }: { readonly roleOf: RoleOf; readonly log: Log }) {
  const method = TokenService.method.authenticate;
  const reportFault = createFaultLog(log);
  return {
    /** Looked up for each call. Hot path. */
    admit(peer: Peer): { readonly role: Role | null; readonly refusal: Status | null } {
      const { role, objection } = objectionTo(method, peer, roleOf);
      return { role, refusal: objection === null ? null : toStatus(objection) };
    },
    statuses: {
      malformed: toStatus(
        requestMalformed(`the message could not be decoded as ${AuthenticateRequestSchema.typeName}`),
      ),
      notSupported: toStatus(requestNotSupported()),
      tooLarge: toStatus(requestTooLarge(maxMessageBytes)),
      typesInvalid: toStatus(fromAuthorityError(typesInvalid("allowed_types"))),
      compressionUnnamed: toStatus(compressionUnnamed()),
      deadlineExceeded: toStatus(deadlineExceeded()),
      canceled: toStatus(callCanceled()),
      unknownField: (number: number) => toStatus(unknownFieldNumber(AuthenticateRequestSchema, String(number))),
      ofError(error: unknown): Status {
        if (!(error instanceof AuthorityError) || error.reason === "UNDECIDED") {
          reportFault(error, rpcName(method));
        }
        return toStatus(error instanceof AuthorityError ? fromAuthorityError(error) : internalError());
      },
    },
  };
}

function toStatus(error: ConnectError): Status {
  const trailer = new Headers();
  setTrailerStatus(trailer, error);
  return {
    code: error.code,
    codeName: codeName(error.code),
    reason: reasonOf(error),
    message: error.rawMessage,
    detailsBin: Buffer.from(trailer.get("grpc-status-details-bin") ?? "", "base64"),
  };
}
