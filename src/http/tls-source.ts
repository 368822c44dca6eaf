import type { X509Certificate } from "node:crypto";
import type { TlsOptions } from "node:tls";

/** What the listener needs to know of TLS. */
export type TlsSource = {
  /** The options of handshakes that start now. */
  options(): TlsOptions;
  /** Whether the client CAs that hold now issued this certificate, and it has not expired. */
  trusts(certificate: X509Certificate): boolean;
  /** The one identity that a certificate names, or null. It says nothing of trust. */
  identityOf(certificate: X509Certificate): string | null;
  /** Calls back after each change of options or trust, until the returned function is called. */
  onReload(callback: () => void): () => void;
};
