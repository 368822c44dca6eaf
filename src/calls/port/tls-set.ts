import type { Log } from "../../machine/log.ts";
import { type Certificates, readCertificates } from "../../wire/tls/certificates.ts";
import { type Callers, readCallers } from "./callers.ts";

/** What all files of TLS say, read together. Can be sent to another thread. */
export type TlsSet = {
  /** Null in plaintext. */
  readonly rpc: { readonly certificates: Certificates; readonly callers: Callers } | null;
  /** Null where the REST API is off, or in plaintext. */
  readonly rest: Certificates | null;
};

/** The files of the RPCs' listener. All are read again on SIGHUP. */
export type TlsFiles = {
  readonly certificate: string;
  readonly key: string;
  readonly clientCa: string;
  readonly callers: string;
};

/** Where TLS is served, and with which files; null means plaintext, or that the REST API is off. */
type TlsPlaces = {
  readonly rpc: { readonly tls: TlsFiles | null };
  readonly rest: { readonly tls: Pick<TlsFiles, "certificate" | "key"> | null } | null;
};

/**
 * Reads the files, warns of certificates that are not valid now, or throws a StartError that says which file is wrong
 * and how.
 */
export function readTlsSet({ rpc, rest }: TlsPlaces, log: Log, nowMs: number): TlsSet {
  const { tls } = rpc;
  const restFiles = rest?.tls ?? null;
  const set = {
    rpc: tls === null ? null : { certificates: readCertificates(tls, nowMs), callers: readCallers(tls.callers) },
    rest: restFiles === null ? null : readCertificates({ ...restFiles, clientCa: null }, nowMs),
  };
  for (const warning of [...(set.rpc?.certificates.warnings ?? []), ...(set.rest?.warnings ?? [])]) {
    log.warn({ warning }, "a certificate is not valid now");
  }
  return set;
}

/**
 * Reads the files again, and hands them on when all are good. A fault in any of them is logged, and all of the old set
 * holds.
 */
export function reloadTlsSet(config: TlsPlaces, log: Log, nowMs: number, handOn: (set: TlsSet) => void): void {
  let set: TlsSet;
  try {
    set = readTlsSet(config, log, nowMs);
  } catch (error) {
    const fault = error instanceof Error ? error.message : "the files cannot be read";
    log.error({ fault }, "certificates and callers were not reloaded: the old ones hold");
    return;
  }
  handOn(set);
  if (set.rpc === null && set.rest === null) {
    log.info({}, "there are no certificates and callers to read again: only plaintext is served");
  }
  if (set.rpc !== null || set.rest !== null) {
    const fields = {
      expires_at: timeOf(set.rpc?.certificates),
      rest_expires_at: timeOf(set.rest),
    };
    log.info(fields, "the certificates were reloaded");
  }
  if (set.rpc !== null) {
    log.info({ callers: set.rpc.callers.size }, "the callers were reloaded");
  }
}

function timeOf(certificates: Certificates | null | undefined): string | undefined {
  return certificates ? new Date(certificates.expiresAtMs).toISOString() : undefined;
}
