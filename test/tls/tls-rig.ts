import { once } from "node:events";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { type ClientHttp2Session, connect as connectHttp2 } from "node:http2";
import type { Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout } from "node:timers/promises";
import { type ConnectionOptions, connect, type TLSSocket } from "node:tls";
import type { HttpLimits } from "../../src/wire/port/limits.ts";
import type { HandshakeFault } from "../../src/wire/port/peer-watch.ts";
import { type CertificateSource, createCertificateSource } from "../../src/wire/tls/certificate-source.ts";
import { type CertificatePaths, readCertificates } from "../../src/wire/tls/certificates.ts";
import { type HttpRig, startRig } from "../http/http-rig.ts";
import { createAuthority, type TestAuthority, type TestCertificate } from "../support/certificates.ts";

/**
 * Certificate files in a directory of their own, and a listener on them whose handler answers with the peer's identity.
 */
export type TlsRig = AsyncDisposable & {
  readonly http: HttpRig;
  readonly source: CertificateSource;
  /** Of handshakes. */
  readonly failures: readonly { readonly fault: HandshakeFault; readonly address: string | null }[];
  readonly paths: CertificatePaths & { readonly clientCa: string };
  readonly serverAuthority: TestAuthority;
  readonly clientAuthority: TestAuthority;
  setNow(nowMs: number): void;
  /** Reads the files again; returns the fault that keeps the old set, or null. */
  reload(): Error | null;
};

export async function startTlsRig(
  options: { readonly limits?: Partial<HttpLimits>; readonly host?: string; readonly answerAfterMs?: number } = {},
): Promise<TlsRig> {
  const directory = mkdtempSync(join(tmpdir(), "tls-"));
  const paths = writeCertificates(directory);
  const serverAuthority = createAuthority("server root");
  const clientAuthority = createAuthority("client root");
  const server = serverAuthority.issue();
  writeFileSync(paths.certificate, server.certificatePem);
  writeFileSync(paths.key, server.keyPem, { mode: 0o600 });
  writeFileSync(paths.clientCa, clientAuthority.certificatePem);
  const failures: { fault: HandshakeFault; address: string | null }[] = [];
  let nowMs = Date.now();
  const source = createCertificateSource(readCertificates(paths, nowMs), () => nowMs);
  const http = await startRig({
    tls: source,
    knowsCallers: true,
    // What a reload does, it does at once: no sweep comes to its help.
    limits: { peerSweepMs: 3_600_000, ...options.limits },
    watch: { failed: (fault, address) => failures.push({ fault, address }) },
    ...(options.host === undefined ? {} : { address: { host: options.host, port: 0 } }),
    async handler({ peer: { transport, fault, identity } }) {
      if (options.answerAfterMs !== undefined) {
        await setTimeout(options.answerAfterMs);
      }
      return { status: 200, body: Buffer.from(JSON.stringify({ transport, fault, identity })) };
    },
  });
  return {
    http,
    source,
    failures,
    paths,
    serverAuthority,
    clientAuthority,
    reload() {
      try {
        source.replace(readCertificates(paths, nowMs));
        return null;
      } catch (error) {
        return error as Error;
      }
    },
    setNow(changedMs) {
      nowMs = changedMs;
    },
    async [Symbol.asyncDispose]() {
      await http[Symbol.asyncDispose]();
      rmSync(directory, { recursive: true });
    },
  };
}

function writeCertificates(directory: string): CertificatePaths & { readonly clientCa: string } {
  return {
    certificate: join(directory, "server.pem"),
    key: join(directory, "server-key.pem"),
    clientCa: join(directory, "client-ca.pem"),
  };
}

export function clientOptions(rig: TlsRig, client: TestCertificate | null): ConnectionOptions {
  return {
    ca: rig.serverAuthority.certificatePem,
    ...(client === null ? {} : { cert: client.certificatePem, key: client.keyPem }),
  };
}

/** An HTTP/2 session over TLS, on a connection of its own or on this one. */
export async function openTlsSession(
  rig: TlsRig,
  client: TestCertificate | null,
  socket?: Socket,
): Promise<ClientHttp2Session & AsyncDisposable> {
  const options = clientOptions(rig, client);
  const session =
    socket === undefined
      ? connectHttp2(rig.http.origin, options)
      : connectHttp2(rig.http.origin, {
          createConnection: () => connect({ ...options, socket, servername: "localhost", ALPNProtocols: ["h2"] }),
        });
  session.on("error", () => {});
  await once(session, "connect");
  return Object.assign(session, {
    async [Symbol.asyncDispose]() {
      session.destroy();
    },
  });
}

/** A TLS connection that speaks no protocol yet. */
export async function openTls(rig: TlsRig, options: ConnectionOptions): Promise<TLSSocket> {
  const socket = connect({ host: "localhost", port: rig.http.port, ...options });
  const connected = Promise.withResolvers<void>();
  socket.once("secureConnect", connected.resolve);
  socket.once("error", connected.reject);
  await connected.promise;
  socket.on("error", () => {});
  return socket;
}
