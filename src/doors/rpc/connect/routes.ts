import { createConnectRouter } from "@connectrpc/connect";
import type { UniversalHandler } from "@connectrpc/connect/protocol";
import { compressionGzip } from "@connectrpc/connect-node";
import { TokenService } from "#gen/casapay/token/v1/token_service_pb.ts";
import { Authorization } from "#gen/envoy/service/auth/v3/external_auth_pb.ts";
import { file_google_rpc_error_details } from "#gen/google/rpc/error_details_pb.ts";
import { Health } from "#gen/grpc/health/v1/health_pb.ts";
import { ServerReflection } from "#gen/grpc/reflection/v1/reflection_pb.ts";
import { ServerReflection as ServerReflectionAlpha } from "#gen/grpc/reflection/v1alpha/reflection_pb.ts";
import type { Clock } from "../../../authority/clock.ts";
import type { TokenAuthority } from "../../../authority/token-authority.ts";
import type { ReportFault } from "../../../calls/fault-log.ts";
import { maxMessageBytes } from "../../../calls/limits.ts";
import { createDescriptorIndex } from "../descriptor-index.ts";
import { createHealthService } from "../health-service.ts";
import { createReflectionService } from "../reflection-service.ts";
import { createTokenMethods, createTokenService } from "../token-service.ts";
import { createWatchMethod } from "../watch-service.ts";
import { createCallInterceptor } from "./call-interceptor.ts";
import { gate } from "./gate.ts";

// A page of List comes to about 1 MiB; JSON makes it longer, and at the worst doubles its texts.
const maxAnswerBytes = 4 * 1024 * 1024;
// Only pages of List are longer. What holds a key is never compressed: its length would tell of its content.
const compressFromBytes = 32 * 1024;

// Authorization is answered in the lane of its one RPC, beside Connect.
const services = [TokenService, Authorization, Health, ServerReflection, ServerReflectionAlpha];

export type RouteOptions = {
  readonly authority: TokenAuthority;
  readonly clock: Clock;
  /** Whether the store can answer now, from a real read. */
  readonly isServing: () => boolean;
  readonly reportFault: ReportFault;
  readonly shutdownSignal: AbortSignal;
};

/** Connect's handlers for gRPC, gRPC-Web and Connect, by the path of their RPC. */
export function createRoutes(options: RouteOptions): ReadonlyMap<string, UniversalHandler> {
  const { authority, clock, isServing, reportFault, shutdownSignal } = options;
  const serviceNames = services.map((service) => service.typeName);
  const index = createDescriptorIndex([...services.map((service) => service.file), file_google_rpc_error_details]);
  const reflection = createReflectionService({ index, serviceNames, shutdownSignal });

  const router = createConnectRouter({
    acceptCompression: [compressionGzip],
    compressMinBytes: compressFromBytes,
    readMaxBytes: maxMessageBytes,
    writeMaxBytes: maxAnswerBytes,
    requestGate: gate,
    interceptors: [createCallInterceptor(reportFault)],
  })
    .service(
      TokenService,
      createTokenService(createTokenMethods(authority, clock), createWatchMethod(authority, shutdownSignal)),
      {
        jsonOptions: { ignoreUnknownFields: false },
      },
    )
    .service(Health, createHealthService({ serviceNames, isServing, shutdownSignal }))
    .service(ServerReflection, reflection)
    .service(ServerReflectionAlpha, reflection);
  return new Map(router.handlers.map((handler) => [handler.requestPath, handler]));
}
