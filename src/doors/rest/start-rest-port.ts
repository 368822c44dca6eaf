import type { Clock } from "../../authority/clock.ts";
import { createDelegatedTokens } from "../../authority/delegated-tokens.ts";
import type { TokenAuthority } from "../../authority/token-authority.ts";
import type { TokenStore } from "../../authority/token-store.ts";
import type { ReportFault } from "../../calls/fault-log.ts";
import type { FinishedCall } from "../../calls/finished-call.ts";
import { createCallerWatch } from "../../calls/port/caller-watch.ts";
import { type Port, startPort } from "../../calls/port/start-port.ts";
import { readNoTrace, readTrace } from "../../calls/trace-headers.ts";
import type { Log } from "../../machine/log.ts";
import type { ByteBudget } from "../../wire/port/byte-budget.ts";
import type { ListenAddress } from "../../wire/port/listen-address.ts";
import { createCertificateSource } from "../../wire/tls/certificate-source.ts";
import type { Certificates } from "../../wire/tls/certificates.ts";
import { createRestHandler } from "./rest-handler.ts";

// The least that RFC 9113, 6.5.2 recommends: a client of this API asks for little at once.
const maxConcurrentStreams = 100;
// Merchants and their proxies ask now and then: more than this at once are strangers who wait.
const maxConnections = 1000;
// A tenth of a core: a handshake needs no key.
const handshakesPerSecond = 100;

export type RestPortOptions = {
  readonly address: ListenAddress;
  /** Null in plaintext. */
  readonly tls: Certificates | null;
  readonly authority: TokenAuthority;
  readonly store: TokenStore;
  readonly clock: Clock;
  readonly onCall: (call: FinishedCall) => void;
  /** Whether `onCall` wants to know of traces. */
  readonly isTraced: boolean;
  readonly budget: ByteBudget;
  readonly reportFault: ReportFault;
  readonly log: Log;
};

export type RestPort = {
  readonly port: Port;
  /** Another certificate from now on. Plaintext stays plaintext. */
  replaceTls(certificates: Certificates | null): void;
};

/** Starts the public REST API. */
export async function startRestPort(options: RestPortOptions): Promise<RestPort> {
  const { address, authority, store, clock, log } = options;
  const certificates = options.tls === null ? null : createCertificateSource(options.tls, clock);
  const watch = createCallerWatch({ port: "rest", isKnown: null, log });
  const port = await startPort({
    budget: options.budget,
    knowsCallers: false,
    address,
    reusePort: false,
    tls: certificates === null ? null : { source: certificates, watch },
    handler: createRestHandler({
      authenticate: authority.authenticate,
      tokens: createDelegatedTokens({ authority, store, clock }),
      clock,
      onCall: options.onCall,
      readTrace: options.isTraced ? readTrace : readNoTrace,
      reportFault: options.reportFault,
    }),
    lanes: { headers: [], paths: new Map() },
    maxConnections,
    maxConcurrentStreams,
    handshakesPerSecond,
    log,
  });
  return {
    port,
    replaceTls(next) {
      if (next !== null) {
        certificates?.replace(next);
      }
    },
  };
}
