import type { Clock } from "./authority/clock.ts";
import { createDelegatedTokens } from "./authority/delegated-tokens.ts";
import type { FinishedCall } from "./authority/finished-call.ts";
import type { Log } from "./authority/log.ts";
import type { TokenAuthority } from "./authority/token-authority.ts";
import type { TokenStore } from "./authority/token-store.ts";
import { readNoTrace, readTrace } from "./authority/trace-headers.ts";
import type { RestConfig } from "./config.ts";
import type { Listener } from "./http/listener.ts";
import { createCreationRate, type RateMemory } from "./rest/creation-rate.ts";
import { createRestHandler } from "./rest/rest-handler.ts";
import { startPort } from "./start-port.ts";
import { type CertificateSource, openCertificates } from "./tls/certificate-source.ts";

// The least that RFC 9113, 6.5.2 recommends: a client of this face asks for little at once.
const maxConcurrentStreams = 100;

export type RestPortOptions = {
  readonly config: RestConfig;
  readonly authority: TokenAuthority;
  readonly store: TokenStore;
  readonly clock: Clock;
  readonly rateMemory: RateMemory;
  readonly onCall: (call: FinishedCall) => void;
  /** Whether `onCall` wants to know of traces. */
  readonly isTraced: boolean;
  readonly maxConnections: number;
  readonly reusePort: boolean;
  readonly log: Log;
};

export type RestPort = {
  readonly listener: Listener;
  /** With the port that was found for 0. */
  readonly config: RestConfig;
  readonly addressText: string;
  /** Null in plaintext. */
  readonly certificates: CertificateSource | null;
};

/** Starts the public REST face of one thread. */
export async function startRestPort(options: RestPortOptions): Promise<RestPort> {
  const { config, authority, store, clock, log } = options;
  const certificates =
    config.tls === null ? null : openCertificates({ ...config.tls, clientCa: null }, { log, now: clock });
  const listener = await startPort({
    address: config.listen,
    reusePort: options.reusePort,
    tls: certificates,
    handler: createRestHandler({
      authenticate: authority.authenticate,
      tokens: createDelegatedTokens({ authority, store, clock }),
      rate: createCreationRate(options.rateMemory, clock),
      clock,
      onCall: options.onCall,
      readTrace: options.isTraced ? readTrace : readNoTrace,
      log,
    }),
    lanes: { headers: [], paths: new Map() },
    maxConnections: options.maxConnections,
    maxConcurrentStreams,
    log,
  });
  const { address, addressText } = listener;
  return { listener, config: "path" in address ? config : { ...config, listen: address }, addressText, certificates };
}
