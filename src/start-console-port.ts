import type { Role } from "./authority/caller.ts";
import { type Port, startPort } from "./calls/start-port.ts";
import { createPeerWatch, type PeerReadings, soonest } from "./calls/unknown-callers.ts";
import { createConsoleHandler } from "./doors/console/console-handler.ts";
import { type Counts, type Figures, sampleEveryMs } from "./doors/console/figures.ts";
import { readPageFiles } from "./doors/console/page-files.ts";
import type { CertificateEnd, ServiceState } from "./doors/console/service-state.ts";
import { checkPath } from "./doors/gateway/check-lane.ts";
import { authenticatePath } from "./doors/rpc/lanes/authenticate-lane.ts";
import type { Log } from "./machine/log.ts";
import { bucketsMs, type CallMeasures } from "./telemetry/prometheus/call-measures.ts";
import type { HttpHandler } from "./wire/exchange.ts";
import type { ByteBudget } from "./wire/port/byte-budget.ts";
import type { ListenAddress } from "./wire/port/listen-address.ts";
import type { TlsSource } from "./wire/port/tls-source.ts";

// One person's page, which asks for little at once.
const maxConnections = 100;
const maxConcurrentStreams = 100;
const handshakesPerSecond = 25;

/** Where gateways ask for a decision. */
const decisions: readonly string[] = [authenticatePath.slice(1), checkPath.slice(1), "forward-auth/authorize"];

export type ConsolePortOptions = {
  readonly address: ListenAddress;
  /** Null means plaintext. */
  readonly tls: TlsSource | null;
  readonly roleOf: (identity: string) => Role | null;
  readonly answerRpc: HttpHandler;
  readonly figures: Figures;
  readonly readState: () => Promise<ServiceState>;
  readonly budget: ByteBudget;
  readonly log: Log;
};

export type ConsolePort = {
  readonly listener: Port;
  /** None in plaintext. */
  readPeers(): readonly PeerReadings[];
};

/** Starts the operator's page. Its callers are those of the RPCs, with the same roles. */
export async function startConsolePort(options: ConsolePortOptions): Promise<ConsolePort> {
  const { address, tls, roleOf, answerRpc, figures, readState, log } = options;
  const watch = createPeerWatch({ port: "console", isKnown: (identity) => roleOf(identity) !== null, log });
  const listener = await startPort({
    budget: options.budget,
    knowsCallers: true,
    address,
    reusePort: false,
    tls: tls === null ? null : { source: tls, watch },
    handler: createConsoleHandler({
      files: readPageFiles(),
      answerRpc,
      roleOf,
      figures: { bucketsMs, everyMs: sampleEveryMs, intervals: figures.intervals },
      readState,
    }),
    lanes: { headers: [], paths: new Map() },
    maxConnections,
    maxConcurrentStreams,
    handshakesPerSecond,
    log,
  });
  return { listener, readPeers: () => (tls === null ? [] : [watch.readings()]) };
}

type Certified = {
  readonly certificateExpiresAtMs: number | null;
  readonly restCertificateExpiresAtMs: number | null;
  readonly peers: readonly PeerReadings[];
};

/** When certificates end, of what all threads tell: the server's own and those that its callers have shown of late, the soonest first. */
export function certificateEnds(readings: readonly Certified[]): readonly CertificateEnd[] {
  const own = (of: "server" | "rest", ends: readonly (number | null)[]): readonly CertificateEnd[] => {
    const known = ends.filter((one) => one !== null);
    return known.length === 0 ? [] : [{ of, caller: null, endsAtMs: Math.min(...known) }];
  };
  const shown = soonest(...readings.flatMap(({ peers }) => peers.map(({ certificateEndsMs }) => certificateEndsMs)));
  return [
    ...own(
      "server",
      readings.map((one) => one.certificateExpiresAtMs),
    ),
    ...own(
      "rest",
      readings.map((one) => one.restCertificateExpiresAtMs),
    ),
    ...[...shown].map(([caller, endsAtMs]) => ({ of: "caller" as const, caller, endsAtMs })),
  ].sort((one, other) => one.endsAtMs - other.endsAtMs);
}

/** What the page plots, of everything that is measured. */
export function countsOf({ durations, refusals }: CallMeasures): Counts {
  const decided = Array.from({ length: bucketsMs.length + 1 }, () => 0);
  let undecided = 0;
  for (const { rpc, code, counts } of durations) {
    if (!decisions.includes(rpc)) {
      continue;
    }
    for (const [at, count] of counts.entries()) {
      if (code === "OK") {
        decided[at] = (decided[at] ?? 0) + count;
      } else {
        undecided += count;
      }
    }
  }
  return { decided, undecided, refusals };
}
