import type { HeaderFields } from "../../wire/exchange.ts";

/** What a gRPC client is told whose metadata is too long, since it would make UNKNOWN of 431; null for other content types. */
export function metadataTooLong(contentType: string): HeaderFields | null {
  const grpcType = /^application\/grpc(?:-web)?/i.exec(contentType)?.[0].toLowerCase();
  return grpcType === undefined
    ? null
    : [
        [":status", "200"],
        ["content-type", grpcType],
        ["grpc-status", "8"],
        ["grpc-message", "the metadata is longer than 16384 bytes or has more than 128 fields"],
      ];
}
