import type { X509Certificate } from "node:crypto";
import type { TLSSocket } from "node:tls";
import type { CertificateDescription, IdentityFault, TlsPeer } from "../port/peer.ts";
import { peerIdentity } from "./peer-identity.ts";
import { isWithin, trustedPeriod } from "./trust.ts";

/** The CAs that hold now, and a number that moves whenever they change. */
export type Trust = { readonly cas: readonly X509Certificate[]; readonly generation: number };

/** The peer at the other end of this socket, whose handshake is done. */
export function tlsPeerOf(socket: TLSSocket, trust: () => Trust, now: () => number): TlsPeer {
  const certificate = socket.getPeerX509Certificate();
  if (certificate === undefined) {
    return withoutCertificate;
  }
  const objection = socket.authorized ? null : String(socket.authorizationError);
  return new CertifiedPeer(certificate, objection, trust, now);
}

const withoutCertificate: TlsPeer = {
  transport: "tls",
  identity: null,
  fault: "CERTIFICATE_MISSING",
  certificate: null,
  claimedIdentity: null,
  opensslObjection: null,
  isOutdated: false,
};

type Verdict = { readonly identity: string | null; readonly fault: IdentityFault | null };

/** Judges its certificate once, and again when the CAs have changed or the certificate begins or ceases to be valid. */
class CertifiedPeer implements TlsPeer {
  readonly transport = "tls";
  readonly opensslObjection: string | null;
  readonly claimedIdentity: string | null;
  readonly #certificate: X509Certificate;
  readonly #trust: () => Trust;
  readonly #now: () => number;
  readonly #wasTrusted: boolean;
  #generation = -1;
  #verdictEndsAtMs = 0;
  #isTrusted = false;
  #verdict: Verdict = { identity: null, fault: "CERTIFICATE_UNTRUSTED" };

  constructor(certificate: X509Certificate, opensslObjection: string | null, trust: () => Trust, now: () => number) {
    this.#certificate = certificate;
    this.opensslObjection = opensslObjection;
    this.#trust = trust;
    this.#now = now;
    this.claimedIdentity = peerIdentity(certificate);
    this.#judge();
    this.#wasTrusted = this.#isTrusted;
  }

  get identity(): string | null {
    this.#judge();
    return this.#verdict.identity;
  }

  get fault(): IdentityFault | null {
    this.#judge();
    return this.#verdict.fault;
  }

  get isOutdated(): boolean {
    this.#judge();
    return this.#isTrusted !== this.#wasTrusted;
  }

  get certificate(): CertificateDescription {
    const { subject, issuer, validToDate } = this.#certificate;
    return { subject, issuer, expiresAtMs: validToDate.getTime() };
  }

  #judge(): void {
    const nowMs = this.#now();
    const trust = this.#trust();
    if (trust.generation !== this.#generation || nowMs >= this.#verdictEndsAtMs) {
      this.#judgeAnew(trust, nowMs);
    }
  }

  #judgeAnew({ cas, generation }: Trust, nowMs: number): void {
    const period = trustedPeriod(this.#certificate, cas, nowMs);
    this.#generation = generation;
    this.#isTrusted = period !== null && isWithin(period, nowMs);
    if (period !== null && this.#isTrusted) {
      this.#verdictEndsAtMs = period.untilMs + 1;
      this.#verdict = this.#verdictOnTrusted();
    } else if (period !== null && nowMs < period.fromMs) {
      this.#verdictEndsAtMs = period.fromMs;
      this.#verdict = { identity: null, fault: "CERTIFICATE_NOT_YET_VALID" };
    } else {
      this.#verdictEndsAtMs = Number.POSITIVE_INFINITY;
      this.#verdict = { identity: null, fault: period === null ? "CERTIFICATE_UNTRUSTED" : "CERTIFICATE_EXPIRED" };
    }
  }

  /** OpenSSL looks at more than we do, and did so once: what it refused is refused until the peer comes again. */
  #verdictOnTrusted(): Verdict {
    if (this.opensslObjection !== null) {
      return { identity: null, fault: "CERTIFICATE_UNSUITABLE" };
    }
    return this.claimedIdentity === null
      ? { identity: null, fault: "CERTIFICATE_WITHOUT_IDENTITY" }
      : { identity: this.claimedIdentity, fault: null };
  }
}
