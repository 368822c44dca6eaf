import { holdsKey } from "../../authority/key.ts";
import type { Log } from "../../machine/log.ts";
import { type Allowance, createSampler } from "../../machine/sampler.ts";
import type { CertificateDescription, IdentityFault, TlsPeer } from "../../wire/port/peer.ts";
import type { HandshakeFault, PeerWatch } from "../../wire/port/peer-watch.ts";

/** Why a peer may not call. */
export type PeerFault = IdentityFault | HandshakeFault | "CALLER_UNKNOWN";

/** What one port tells of its peers. Can be sent to another thread. */
export type PeerReadings = {
  readonly port: PortName;
  /** Since the start, by reason. */
  readonly refused: ReadonlyMap<PeerFault, number>;
  /** By identity: the soonest end of the certificates that it showed within the last minutes, in Unix milliseconds. */
  readonly certificateEndsMs: ReadonlyMap<string, number>;
};

export type PortName = "rpc" | "rest" | "console";

export type CallerWatch = PeerWatch & {
  /** An identity that no callers file names asked for something. */
  unknownCaller(identity: string): void;
  readings(): PeerReadings;
};

export type CallerWatchOptions = {
  readonly port: PortName;
  /** Whether the callers file names an identity. Null where nobody is asked for a certificate. */
  readonly isKnown: ((identity: string) => boolean) | null;
  readonly log: Log;
};

const allowance: Allowance = { lines: 1, everyMs: 10_000 };
/** A caller that has gone is forgotten after one to two of these. */
const windowMs = 10 * 60 * 1000;
/** More than a person reads, and than a metric should have values. */
const maxIdentities = 200;
/** A name in a certificate of a stranger is as long as the stranger likes. */
const maxNameCharacters = 300;

/**
 * Counts and logs the peers of one port that may not call, with what a person needs to mend it, and notes when the
 * certificates of callers end. A line each 10 seconds for each reason, and for each caller that the callers file names.
 */
export function createCallerWatch({ port, isKnown, log }: CallerWatchOptions): CallerWatch {
  const sample = createSampler();
  const refused = noneRefused(isKnown !== null);
  let ends = new Map<string, number>();
  let endsBefore = new Map<string, number>();
  let windowEndsAtMs = performance.now() + windowMs;
  const unknown = new Map<
    string,
    { readonly certificate: CertificateDescription | null; readonly address: string | null }
  >();

  function refuse(fault: PeerFault, kind: string, fields: object): void {
    refused.set(fault, (refused.get(fault) ?? 0) + 1);
    const suppressed = sample(kind, allowance);
    if (suppressed !== null) {
      log.warn({ reason: fault, port, ...fields, suppressed }, "a peer may not call");
    }
  }

  function judge(peer: TlsPeer, address: string | null): void {
    const { identity, fault, certificate } = peer;
    if (isKnown === null) {
      return;
    }
    if (fault !== null) {
      // Each known caller has a line of its own: a caller that calls often would hide the others.
      const caller = knownName(peer);
      refuse(fault, `${fault} ${caller ?? ""}`, {
        caller: caller ?? undefined,
        peer: address,
        ...describe(certificate),
        openssl: peer.opensslObjection ?? undefined,
      });
    } else if (identity !== null && !isKnown(identity) && unknown.size < maxIdentities) {
      unknown.set(identity, { certificate, address });
    }
  }

  /** The known caller that a certificate names which a trusted CA issued: others could name it as well. */
  function knownName({ claimedIdentity, fault }: TlsPeer): string | null {
    const isIssued = fault !== "CERTIFICATE_UNTRUSTED";
    return isIssued && claimedIdentity !== null && isKnown?.(claimedIdentity) === true ? claimedIdentity : null;
  }

  function noteEnd({ identity, certificate }: TlsPeer): void {
    if (identity === null || certificate === null || isKnown?.(identity) !== true) {
      return;
    }
    const nowMs = performance.now();
    if (nowMs >= windowEndsAtMs) {
      endsBefore = nowMs >= windowEndsAtMs + windowMs ? new Map() : ends;
      ends = new Map();
      unknown.clear();
      windowEndsAtMs = nowMs + windowMs;
    }
    ends.set(identity, Math.min(ends.get(identity) ?? Number.POSITIVE_INFINITY, certificate.expiresAtMs));
  }

  return {
    failed(fault, address, code) {
      refuse(fault, fault, { peer: address, code });
    },
    came(peer, address) {
      judge(peer, address);
      noteEnd(peer);
    },
    stays: noteEnd,
    goes: judge,
    unknownCaller(identity) {
      const seen = unknown.get(identity);
      refuse("CALLER_UNKNOWN", "CALLER_UNKNOWN", {
        caller: identity,
        peer: seen?.address,
        ...describe(seen?.certificate ?? null),
      });
    },
    readings: () => ({ port, refused: new Map(refused), certificateEndsMs: soonest(endsBefore, ends) }),
  };
}

// Prometheus does not see the first of a count that begins with it: all begin with 0.
const handshakeFaults: readonly HandshakeFault[] = [
  "PLAINTEXT",
  "NOT_TLS",
  "TLS_VERSION",
  "TLS_CIPHER",
  "SERVER_CERTIFICATE_REFUSED",
  "HANDSHAKE_TIMEOUT",
  "HANDSHAKE_FAILED",
];
const callerFaults: readonly PeerFault[] = [
  "CERTIFICATE_MISSING",
  "CERTIFICATE_UNTRUSTED",
  "CERTIFICATE_EXPIRED",
  "CERTIFICATE_NOT_YET_VALID",
  "CERTIFICATE_UNSUITABLE",
  "CERTIFICATE_WITHOUT_IDENTITY",
  "CALLER_UNKNOWN",
];

function noneRefused(knowsCallers: boolean): Map<PeerFault, number> {
  return new Map([...handshakeFaults, ...(knowsCallers ? callerFaults : [])].map((fault) => [fault, 0]));
}

/** The sooner of two times for each identity; keeps the identities whose times come first. */
export function soonest(...all: readonly ReadonlyMap<string, number>[]): ReadonlyMap<string, number> {
  const ends = new Map<string, number>();
  for (const [identity, endMs] of all.flatMap((one) => [...one])) {
    ends.set(identity, Math.min(ends.get(identity) ?? Number.POSITIVE_INFINITY, endMs));
  }
  return new Map([...ends].sort(([, one], [, other]) => one - other).slice(0, maxIdentities));
}

function describe(certificate: CertificateDescription | null): object {
  return certificate === null
    ? {}
    : {
        subject: nameOf(certificate.subject),
        issuer: nameOf(certificate.issuer),
        // A stranger's certificate may hold no valid time.
        expires_at: Number.isFinite(certificate.expiresAtMs)
          ? new Date(certificate.expiresAtMs).toISOString()
          : undefined,
      };
}

/** Names come from strangers. */
function nameOf(name: string): string {
  return holdsKey(name) ? "withheld: it held a key" : name.slice(0, maxNameCharacters).replaceAll("\n", ", ");
}
