import { readFileSync } from "node:fs";
import {
  createFileRegistry,
  type DescMessage,
  type DescService,
  fromBinary,
  type Message,
  type Registry,
} from "@bufbuild/protobuf";
import type { GenMessage, GenService } from "@bufbuild/protobuf/codegenv2";
import { type Any, FileDescriptorSetSchema } from "@bufbuild/protobuf/wkt";

/**
 * What is used of connectrpc.conformance.v1. The descriptors come with the runner; these are the shapes that they give
 * messages.
 */
export type Schema = {
  readonly registry: Registry;
  readonly service: ConformanceService;
  readonly requestInfo: GenMessage<RequestInfo>;
  readonly serverCompatRequest: GenMessage<ServerCompatRequest>;
  readonly serverCompatResponse: GenMessage<ServerCompatResponse>;
};

export type Header = Shape<"Header", { name: string; value: string[] }>;
export type RpcError = Shape<"Error", { code: number; message?: string; details: Any[] }>;

export type UnaryResponseDefinition = Shape<
  "UnaryResponseDefinition",
  ResponseMetadata & {
    response:
      | { case: "responseData"; value: Uint8Array }
      | { case: "error"; value: RpcError }
      | { case: undefined; value?: undefined };
  }
>;

export type StreamResponseDefinition = Shape<
  "StreamResponseDefinition",
  ResponseMetadata & { responseData: Uint8Array[]; error?: RpcError }
>;

export type ResponseMetadata = { responseHeaders: Header[]; responseTrailers: Header[]; responseDelayMs: number };

export type UnaryRequest = Shape<"UnaryRequest", { responseDefinition?: UnaryResponseDefinition }>;
export type IdempotentUnaryRequest = Shape<"IdempotentUnaryRequest", { responseDefinition?: UnaryResponseDefinition }>;
export type ClientStreamRequest = Shape<"ClientStreamRequest", { responseDefinition?: UnaryResponseDefinition }>;
export type ServerStreamRequest = Shape<"ServerStreamRequest", { responseDefinition?: StreamResponseDefinition }>;
export type BidiStreamRequest = Shape<
  "BidiStreamRequest",
  { responseDefinition?: StreamResponseDefinition; fullDuplex: boolean }
>;

export type RequestInfo = Shape<
  "ConformancePayload.RequestInfo",
  { requestHeaders: Header[]; timeoutMs?: bigint; requests: Any[]; connectGetInfo?: ConnectGetInfo }
>;
type ConnectGetInfo = Shape<"ConformancePayload.ConnectGetInfo", { queryParams: Header[] }>;
type ConformancePayload = Shape<"ConformancePayload", { data: Uint8Array; requestInfo?: RequestInfo }>;
type Response<Name extends string> = Shape<Name, { payload?: ConformancePayload }>;

type ServerCompatRequest = Shape<
  "ServerCompatRequest",
  {
    useTls: boolean;
    /** PEM; empty when clients bring no certificate. */
    clientTlsCert: Uint8Array;
    messageReceiveLimit: number;
    serverCreds?: Shape<"TLSCreds", { cert: Uint8Array; key: Uint8Array }>;
  }
>;
type ServerCompatResponse = Shape<"ServerCompatResponse", { host: string; port: number; pemCert: Uint8Array }>;

type ConformanceService = GenService<{
  unary: Method<"unary", UnaryRequest, Response<"UnaryResponse">>;
  idempotentUnary: Method<"unary", IdempotentUnaryRequest, Response<"IdempotentUnaryResponse">>;
  clientStream: Method<"client_streaming", ClientStreamRequest, Response<"ClientStreamResponse">>;
  serverStream: Method<"server_streaming", ServerStreamRequest, Response<"ServerStreamResponse">>;
  bidiStream: Method<"bidi_streaming", BidiStreamRequest, Response<"BidiStreamResponse">>;
}>;

type Method<Kind, Input extends Message, Output extends Message> = {
  methodKind: Kind;
  input: GenMessage<Input>;
  output: GenMessage<Output>;
};
type Shape<Name extends string, Fields> = Message<`connectrpc.conformance.v1.${Name}`> & Fields;

/** Reads the descriptors from a file that holds a FileDescriptorSet. */
export function readSchema(path: string): Schema {
  const registry = createFileRegistry(fromBinary(FileDescriptorSetSchema, readFileSync(path)));
  const service = registry.getService("connectrpc.conformance.v1.ConformanceService");
  if (!isConformanceService(service)) {
    throw new Error(`${path} does not describe ConformanceService`);
  }
  return {
    registry,
    service,
    requestInfo: message<RequestInfo>(registry, "connectrpc.conformance.v1.ConformancePayload.RequestInfo"),
    serverCompatRequest: message<ServerCompatRequest>(registry, "connectrpc.conformance.v1.ServerCompatRequest"),
    serverCompatResponse: message<ServerCompatResponse>(registry, "connectrpc.conformance.v1.ServerCompatResponse"),
  };
}

function isConformanceService(service: DescService | undefined): service is ConformanceService {
  return service !== undefined;
}

function message<Type extends Message>(registry: Registry, name: Type["$typeName"]): GenMessage<Type> {
  const desc = registry.getMessage(name);
  if (!hasShape<Type>(desc)) {
    throw new Error(`the descriptors lack ${name}`);
  }
  return desc;
}

// That the fields are as written above is taken on trust: they are those of one fixed version.
function hasShape<Type extends Message>(desc: DescMessage | undefined): desc is GenMessage<Type> {
  return desc !== undefined;
}
