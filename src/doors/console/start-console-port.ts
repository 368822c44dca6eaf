import type { RoleOf } from "../../calls/admission.ts";
import { createCallerWatch } from "../../calls/port/caller-watch.ts";
import { type Port, startPort } from "../../calls/port/start-port.ts";
import type { Log } from "../../machine/log.ts";
import type { HttpHandler } from "../../wire/exchange.ts";
import type { ByteBudget } from "../../wire/port/byte-budget.ts";
import type { ListenAddress } from "../../wire/port/listen-address.ts";
import type { CertificateSource } from "../../wire/tls/certificate-source.ts";
import { createConsoleHandler } from "./console-handler.ts";
import { type Figures, sampleEveryMs } from "./figures.ts";
import { readPageFiles } from "./page-files.ts";
import type { ServiceState } from "./service-state.ts";

// One person's page, which asks for little at once.
const maxConnections = 100;
const maxConcurrentStreams = 100;
const handshakesPerSecond = 25;

export type ConsolePortOptions = {
  readonly address: ListenAddress;
  /** Null means plaintext. */
  readonly tls: CertificateSource | null;
  readonly roleOf: RoleOf;
  readonly answerRpc: HttpHandler;
  readonly figures: Figures;
  /** The upper bounds of the buckets that the figures count durations in. */
  readonly bucketsMs: readonly number[];
  readonly readState: () => Promise<ServiceState>;
  readonly budget: ByteBudget;
  readonly log: Log;
};

/** Starts the console. Its callers are those of the RPCs, with the same roles. */
export async function startConsolePort(options: ConsolePortOptions): Promise<Port> {
  const { address, tls, roleOf, answerRpc, figures, bucketsMs, readState, log } = options;
  const watch = createCallerWatch({ port: "console", isKnown: (identity) => roleOf(identity) !== null, log });
  return await startPort({
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
}
