import type { Log } from "../../machine/log.ts";
import { type Allowance, createSampler } from "../../machine/sampler.ts";
import type { ShortResponse } from "../../wire/exchange.ts";
import { grpcTypeOf } from "../../wire/media-type.ts";
import { createRequestId, headerTooLarge, publicErrorBody } from "../public-error.ts";

const allowance: Allowance = { lines: 100, everyMs: 1000 };

/** The sender of a request whose header is larger than is read. */
type Sender = { readonly transport: string; readonly identity: string | null };

/**
 * What is told to requests whose header is larger than is read: of such a request nothing else is known, whatever the
 * door.
 */
export type LargeHeaders = {
  /** Counts and logs one, and returns its answer. */
  refuse(sender: Sender, contentType: string): ShortResponse;
  /** How many there were since the start. */
  count(): number;
};

export function createLargeHeaders(log: Log, steadyNowMs?: () => number): LargeHeaders {
  const sample = createSampler(steadyNowMs);
  let count = 0;

  function tell({ identity, transport }: Sender, requestId: string): void {
    const suppressed = sample("header", allowance);
    if (suppressed !== null) {
      const fields = { caller: identity, transport, request_id: requestId, suppressed };
      log.warn(fields, "the header of a request is too large");
    }
  }

  return {
    refuse(sender, contentType) {
      count += 1;
      const requestId = createRequestId();
      tell(sender, requestId);
      const grpcType = grpcTypeOf(contentType);
      return grpcType === null ? inJson(requestId) : inGrpc(grpcType, requestId);
    },
    count: () => count,
  };
}

function inJson(requestId: string): ShortResponse {
  return {
    status: 431,
    header: { "content-type": "application/json", "cache-control": "no-store", "request-id": requestId },
    body: Buffer.from(publicErrorBody(headerTooLarge, requestId)),
  };
}

/** A client of gRPC would make UNKNOWN of 431. */
function inGrpc(grpcType: string, requestId: string): ShortResponse {
  return {
    status: 200,
    header: {
      "content-type": grpcType,
      "grpc-status": "8",
      "grpc-message": "the metadata is longer than 16384 bytes or has more than 128 fields",
      "request-id": requestId,
    },
    body: new Uint8Array(0),
  };
}
