import type { LaneAnswer, PrepareBlock } from "../../wire/http2/lane.ts";
import type { Status } from "./status.ts";

/** A response that is one header block and tells an error (gRPC over HTTP/2: Trailers-Only). */
export function trailersOnly(status: Status, prepareBlock: PrepareBlock): LaneAnswer {
  const fields: [string, string][] = [
    [":status", "200"],
    ["content-type", "application/grpc"],
    ["grpc-status", String(status.code)],
    ["grpc-message", percentEncoded(status.message)],
  ];
  if (status.detailsBin.length > 0) {
    fields.push(["grpc-status-details-bin", status.detailsBin.toBase64({ omitPadding: true })]);
  }
  return { head: prepareBlock(fields), body: null, trailer: null };
}

/** The message as gRPC's Percent-Encoded: visible ASCII and space stand for themselves, but for the percent sign. */
function percentEncoded(message: string): string {
  return message.toWellFormed().replace(/[^ -$&-~]/gu, encodeURIComponent);
}
