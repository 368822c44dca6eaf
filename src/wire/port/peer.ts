/** Why a peer has no identity. */
export type IdentityFault =
  | "CERTIFICATE_MISSING"
  /** No CA that is trusted now issued it. */
  | "CERTIFICATE_UNTRUSTED"
  | "CERTIFICATE_EXPIRED"
  | "CERTIFICATE_NOT_YET_VALID"
  /** OpenSSL did not take it for a client's, such as one that only servers may use. */
  | "CERTIFICATE_UNSUITABLE"
  | "CERTIFICATE_WITHOUT_IDENTITY"
  /** In plaintext, from another machine. */
  | "PLAINTEXT_FROM_ELSEWHERE";

/**
 * What a connection proves about who is at its other end. Plaintext peers are on this machine, and their identity is
 * `local`. Over TLS both answers hold for this moment: a CA may be taken away, and a certificate ends, while the
 * connection lives. So both are asked for where they are used, and not kept across a wait.
 */
export type Peer = {
  readonly transport: "tls" | "loopback" | "unix";
  /** Null when the peer has no certificate that is good now and names one identity. */
  readonly identity: string | null;
  /** Why it has no identity; null while it has one. */
  readonly fault: IdentityFault | null;
};

/** A client certificate as a person finds it again. */
export type CertificateDescription = {
  readonly subject: string;
  readonly issuer: string;
  readonly expiresAtMs: number;
};

/** A peer over TLS, and what a person asks about it. */
export type TlsPeer = Peer & {
  /** Null when it showed no certificate. */
  readonly certificate: CertificateDescription | null;
  /** The identity that its certificate claims, believed or not. */
  readonly claimedIdentity: string | null;
  /** What OpenSSL had against the certificate in the handshake; null where it had nothing. */
  readonly opensslObjection: string | null;
  /**
   * Whether its certificate is judged otherwise now than when it came: it must come again, for a handshake that says
   * so.
   */
  readonly isOutdated: boolean;
};
