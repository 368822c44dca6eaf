import { execFile } from "node:child_process";
import { promisify } from "node:util";
import { loadCore, pinned } from "../runner/pinned.ts";
import type { ServerProcess } from "../runner/server-process.ts";
import type { Setup, Way } from "../runner/way.ts";

/** How many connections, and how many calls at once on each. */
export type Shape = readonly [connections: number, streams: number];

/** A unary gRPC call that carries a key. Bytes are in hexadecimal, of messages without gRPC's prefix. */
export type LaneRpc = {
  readonly path: string;
  /** What stands before and after the key in a request. */
  readonly beforeKey: string;
  readonly afterKey: string;
  /** How the answer begins when the key is accepted, and when it is refused. */
  readonly accepted: string;
  readonly refused: string;
};

/** With the key alone: field 1 of the request. The answer has a principal (field 1) or a refusal (field 2). */
export const authenticateRpc: LaneRpc = {
  path: "/casapay.token.v1.TokenService/Authenticate",
  beforeKey: "0a2e",
  afterKey: "",
  accepted: "0a",
  refused: "12",
};

export type LaneLoad = {
  /** Authenticate where it is not said. */
  readonly rpc?: LaneRpc;
  readonly shape: Shape;
  /** Whether grpc-timeout, traceparent and x-request-id are the same with every call. */
  readonly headers: "constant" | "differing";
  readonly keys: "hot" | "random";
  /** Keys that nobody has, each another: with every second call, or on every second connection. */
  readonly unknown?: "none" | "calls" | "connections";
};

/** What go/load prints: its result.go says what each number is. */
export type LaneResult = {
  readonly calls: number;
  readonly callsPerSecond: number;
  readonly failures: Readonly<Record<string, number>>;
  readonly known: Latencies;
  readonly unknown: Latencies;
  readonly serverCpuUs: number;
  readonly threadShares: readonly number[];
  readonly loadBusy: number;
  readonly bytesSentACall: number;
  readonly bytesReceivedACall: number;
};

type Latencies = {
  readonly callsPerSecond: number;
  readonly p50Us: number;
  readonly p90Us: number;
  readonly p99Us: number;
  readonly greatestUs: number;
};

const graceMs = 30_000;

/** Runs go/load on the load's core. `firstKey` is the place in the file of keys to begin at. */
export async function runLaneLoad(
  program: string,
  setup: Setup,
  { address, pid, transport, raw }: ServerProcess & Pick<Way, "transport" | "raw">,
  { shape: [connections, streams], headers, keys, unknown = "none", rpc = authenticateRpc }: LaneLoad,
  { durationMs, firstKey }: { readonly durationMs: number; readonly firstKey: number },
): Promise<LaneResult> {
  const { ca, gateway } = setup.certificates;
  const options = {
    address,
    "server-pid": pid,
    path: rpc.path,
    "before-key": rpc.beforeKey,
    "after-key": rpc.afterKey,
    accepted: rpc.accepted,
    refused: rpc.refused,
    connections,
    streams,
    duration: `${durationMs}ms`,
    "constant-headers": headers === "constant",
    keys: keys === "hot" ? setup.hotKeys : setup.randomKeys,
    "first-key": firstKey,
    unknown,
    ...(transport === "TLS 1.3" ? { "tls-ca": ca, "tls-cert": gateway.cert, "tls-key": gateway.key } : {}),
    ...(raw === undefined ? {} : { "raw-request": raw.requestBytes, "raw-answer": raw.answerBytes }),
  };
  const flags = Object.entries(options).map(([name, value]) => `-${name}=${value}`);
  const [command = "", ...args] = pinned(loadCore, program, flags);
  const env = { ...process.env, GOMAXPROCS: "1" };
  const { stdout } = await promisify(execFile)(command, args, { env, timeout: durationMs + graceMs });
  return JSON.parse(stdout) as LaneResult;
}
