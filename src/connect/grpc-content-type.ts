/**
 * The headers with gRPC's and gRPC-Web's content type freed of parameters, which change nothing: grpc-go takes `application/grpc;charset=utf-8`,
 * and Connect takes it for no protocol at all.
 */
export function withoutGrpcParameters(header: Headers): Headers {
  const contentType = header.get("content-type") ?? "";
  const [, mediaType] = /^(application\/grpc[-+a-z]*)[ \t]*;/i.exec(contentType) ?? [];
  if (mediaType === undefined) {
    return header;
  }
  const plain = new Headers(header);
  plain.set("content-type", mediaType);
  return plain;
}
