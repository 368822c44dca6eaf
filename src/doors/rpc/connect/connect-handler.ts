import type { Clock } from "../../../authority/clock.ts";
import type { TokenAuthority } from "../../../authority/token-authority.ts";
import { createAdmission, type RoleOf } from "../../../calls/admission.ts";
import { type Deadlines, defaultDeadlines } from "../../../calls/deadline.ts";
import type { ReportFault } from "../../../calls/fault-log.ts";
import type { FinishedCall } from "../../../calls/finished-call.ts";
import { rpcName } from "../../../calls/rpcs.ts";
import type { ReadTrace } from "../../../calls/trace-headers.ts";
import type { HttpHandler } from "../../../wire/exchange.ts";
import { createRoutes } from "./routes.ts";
import { createRpcHandler } from "./rpc-handler.ts";

export type ConnectHandlerOptions = {
  readonly authority: TokenAuthority;
  readonly clock: Clock;
  /** The role of an identity as of now, or null when it has none. Asked for every call. */
  readonly roleOf: RoleOf;
  /** Whether the store can answer now, from a real read. */
  readonly isServing: () => boolean;
  /** Told of every call of an RPC once it has ended. */
  readonly onCall: (call: FinishedCall) => void;
  /** Default: looks at nothing. */
  readonly readTrace?: ReadTrace;
  readonly reportFault: ReportFault;
  /** Turns health to NOT_SERVING and ends the streams. Calls under way end by themselves. */
  readonly shutdownSignal: AbortSignal;
  readonly deadlines?: Deadlines;
};

/** Serves TokenService, health and reflection over gRPC, gRPC-Web and Connect, to whatever speaks HTTP. */
export function createConnectHandler(options: ConnectHandlerOptions): HttpHandler {
  const { roleOf, onCall, readTrace, deadlines = defaultDeadlines, reportFault } = options;
  return createRpcHandler({
    routes: createRoutes(options),
    admissionTo: (method) => createAdmission(rpcName(method), roleOf),
    deadlines,
    onCall,
    readTrace,
    reportFault,
  });
}
