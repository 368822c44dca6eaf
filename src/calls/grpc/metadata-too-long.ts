import type { HeaderFields } from "../../wire/exchange.ts";
import { grpcTypeOf } from "../../wire/media-type.ts";

/** What a gRPC client is told whose metadata is too long, since it would make UNKNOWN of 431; null for other content types. */
export function metadataTooLong(contentType: string): HeaderFields | null {
  const grpcType = grpcTypeOf(contentType);
  return grpcType === null
    ? null
    : [
        [":status", "200"],
        ["content-type", grpcType],
        ["grpc-status", "8"],
        ["grpc-message", "the metadata is longer than 16384 bytes or has more than 128 fields"],
      ];
}
