import type { TlsPeer } from "./peer.ts";

/** Why a handshake did not come to its end. */
export type HandshakeFault =
  /** The peer speaks HTTP without TLS. */
  | "PLAINTEXT"
  /** Neither TLS nor HTTP. */
  | "NOT_TLS"
  | "TLS_VERSION"
  | "TLS_CIPHER"
  /** The peer does not trust our certificate, or it has ended. */
  | "SERVER_CERTIFICATE_REFUSED"
  | "HANDSHAKE_TIMEOUT"
  | "HANDSHAKE_FAILED";

/** Hears of who comes to a port with TLS. `address` is the peer's. */
export type PeerWatch = {
  /** A handshake that did not come to its end. `code` is Node's, where it has one. */
  failed(fault: HandshakeFault, address: string | null, code?: string): void;
  /** A peer whose handshake is done. */
  came(peer: TlsPeer, address: string | null): void;
  /** A peer that is still here, told every few seconds. */
  stays(peer: TlsPeer): void;
  /** A peer that must go, since its certificate is judged otherwise than when it came. */
  goes(peer: TlsPeer, address: string | null): void;
};

/** The fault of a failed handshake by the error's code; null for a peer that only looked whether the port is open. */
export function handshakeFaultOf(code: string): HandshakeFault | null {
  if (code === "ECONNRESET" || code === "EPIPE") {
    return null;
  }
  if (code === "ERR_TLS_HANDSHAKE_TIMEOUT") {
    return "HANDSHAKE_TIMEOUT";
  }
  if (/UNSUPPORTED_PROTOCOL|VERSION/.test(code)) {
    return "TLS_VERSION";
  }
  if (code.endsWith("NO_SHARED_CIPHER")) {
    return "TLS_CIPHER";
  }
  return /ALERT_(?:UNKNOWN_CA|BAD_CERTIFICATE|UNSUPPORTED_CERTIFICATE|CERTIFICATE_)/.test(code)
    ? "SERVER_CERTIFICATE_REFUSED"
    : "HANDSHAKE_FAILED";
}
