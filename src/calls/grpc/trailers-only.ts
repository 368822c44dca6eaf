import { create, toBinary } from "@bufbuild/protobuf";
import { anyPack } from "@bufbuild/protobuf/wkt";
import { ErrorInfoSchema } from "#gen/google/rpc/error_details_pb.ts";
import { StatusSchema } from "#gen/google/rpc/status_pb.ts";
import { encodePreparedBlock } from "../../wire/http2/hpack-encoder.ts";
import type { LaneAnswer } from "../../wire/http2/lane.ts";
import { codeNumbers, errorDomain, type Status } from "../status.ts";

/** How every response of gRPC begins. */
export const headFields = [
  [":status", "200"],
  ["content-type", "application/grpc"],
] as const;

/** A response that is one header block and tells an error (gRPC over HTTP/2: Trailers-Only). */
export function trailersOnly(status: Status): LaneAnswer {
  return { head: encodePreparedBlock([...headFields, ...fieldsOf(status)]), body: null, trailer: null };
}

/** The header block that ends a response which has begun, with an error. */
export function trailersOf(status: Status): Uint8Array {
  return encodePreparedBlock(fieldsOf(status));
}

function fieldsOf(status: Status): readonly (readonly [string, string])[] {
  const { code, reason, message } = status;
  const fields: [string, string][] = [
    ["grpc-status", String(codeNumbers[code])],
    ["grpc-message", percentEncoded(message)],
  ];
  if (reason !== null) {
    fields.push(["grpc-status-details-bin", detailsOf(status, reason).toBase64({ omitPadding: true })]);
  }
  return fields;
}

/** The google.rpc.Status with its ErrorInfo, encoded. */
function detailsOf({ code, message, metadata }: Status, reason: string): Uint8Array {
  const info = create(ErrorInfoSchema, { domain: errorDomain, reason, metadata: { ...metadata } });
  const details = [anyPack(ErrorInfoSchema, info)];
  return toBinary(StatusSchema, create(StatusSchema, { code: codeNumbers[code], message, details }));
}

/** The message as gRPC's Percent-Encoded: visible ASCII and space stand for themselves, but for the percent sign. */
function percentEncoded(message: string): string {
  return message.toWellFormed().replace(/[^ -$&-~]/gu, encodeURIComponent);
}
