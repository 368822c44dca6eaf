import type { RefuseHeaders } from "./lane.ts";

/** What a request is told whose header list is too long: over gRPC by its own code, of which a client would make UNKNOWN where it read 431. */
export const metadataTooLong: RefuseHeaders = (contentType) => {
  const grpcType = /^application\/grpc(?:-web)?/i.exec(contentType)?.[0].toLowerCase();
  return grpcType === undefined
    ? [[":status", "431"]]
    : [
        [":status", "200"],
        ["content-type", grpcType],
        ["grpc-status", "8"],
        ["grpc-message", "the metadata is longer than 16384 bytes or has more than 128 fields"],
      ];
};
