import type { DescMethod } from "@bufbuild/protobuf";
import { type Code, ConnectError } from "@connectrpc/connect";
import { setTrailerStatus } from "@connectrpc/connect/protocol-grpc";
import type { Role } from "../../../authority/caller.ts";
import { AuthorityError } from "../../../authority/errors.ts";
import type { ReportFault } from "../../../calls/fault-log.ts";
import type { Peer } from "../../../wire/port/peer.ts";
import { rpcName } from "../connect/call.ts";
import { codeName } from "../connect/finished-call.ts";
import { objectionTo, type RoleOf } from "../connect/gate.ts";
import {
  callCanceled,
  compressionUnnamed,
  deadlineExceeded,
  fromAuthorityError,
  internalError,
  messageUndecodable,
  reasonOf,
  requestNotSupported,
  requestTooLarge,
} from "../errors.ts";
import { maxMessageBytes } from "../limits.ts";

/** An error of a call, as gRPC carries it. */
export type Status = {
  readonly code: Code;
  readonly codeName: string;
  readonly reason: string | null;
  readonly message: string;
  /** The encoded google.rpc.Status. */
  readonly detailsBin: Uint8Array;
  /** What the log has beside it: never sent. */
  readonly details?: Readonly<Record<string, string>> | null;
};

export type LaneStatusesOptions = { readonly roleOf: RoleOf; readonly reportFault: ReportFault };

/** Who may call this RPC, and in which words it fails: for those who answer it without Connect. */
export function createLaneStatuses(method: DescMethod, { roleOf, reportFault }: LaneStatusesOptions) {
  return {
    /** Looked up for each call. Hot path. */
    admit(peer: Peer): {
      readonly identity: string | null;
      readonly role: Role | null;
      readonly refusal: Status | null;
    } {
      const { identity, role, objection } = objectionTo(method, peer, roleOf);
      return { identity, role, refusal: objection === null ? null : toStatus(objection) };
    },
    statuses: {
      malformed: toStatus(messageUndecodable(method.input)),
      notSupported: toStatus(requestNotSupported()),
      tooLarge: toStatus(requestTooLarge(maxMessageBytes)),
      compressionUnnamed: toStatus(compressionUnnamed()),
      deadlineExceeded: toStatus(deadlineExceeded()),
      canceled: toStatus(callCanceled()),
      ofError(error: unknown): Status {
        if (error instanceof ConnectError && reasonOf(error) !== null) {
          return toStatus(error);
        }
        if (!(error instanceof AuthorityError) || error.reason === "UNDECIDED") {
          reportFault(error, rpcName(method));
        }
        return error instanceof AuthorityError
          ? { ...toStatus(fromAuthorityError(error)), details: error.details }
          : toStatus(internalError());
      },
    },
  };
}

/** The error as a lane tells it. */
export function toStatus(error: ConnectError): Status {
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
