import { readFileSync } from "node:fs";
import { connect as connectTcp, isIP, type Socket } from "node:net";
import { connect as connectTls, createSecureContext } from "node:tls";
import type { Transport } from "@connectrpc/connect";
import { createGrpcTransport } from "@connectrpc/connect-node";
import { TokenService } from "../gen/casapay/token/v1/token_service_pb.ts";
import { Sessions } from "./sessions.ts";

/** Where certificates are: the path of a PEM file, which is read again for each new connection, or its bytes. */
export type Pem = string | Uint8Array;

/** Both sides show a certificate. */
export type MutualTls = {
  /** Who signed the authority's certificate. */
  readonly ca: Pem;
  readonly cert: Pem;
  readonly key: Pem;
  /** The name in the authority's certificate. Default: the host of the address. */
  readonly serverName?: string;
};

export type Keepalive = {
  /**
   * Silence, in calls or between them, after which the authority is asked whether it is there. Default: 30,000; at
   * least 1,000.
   */
  readonly intervalMs?: number;
  /** How long it may take to answer; then the connection is given up. Default: 10,000. */
  readonly timeoutMs?: number;
};

export type TransportOptions = {
  /** `plaintext` is for this machine alone: loopback addresses and unix sockets. */
  readonly security: "plaintext" | MutualTls;
  readonly keepalive?: Keepalive;
};

const minKeepaliveMs = 1_000;
/** A page of tokens has about 1 MiB. */
const maxAnswerBytes = 16 * 1024 * 1024;

/** One HTTP/2 connection at a time, opened by the first call and again by the first call after its end. */
export type Connection = {
  readonly transport: Transport;
  /** Ends it, and the calls on it. */
  readonly close: () => void;
  /** Whoever is told when a connection takes no more calls, while those on it go on. */
  readonly onLeave: (listener: () => void) => void;
};

/** Throws a TypeError for an address or security that makes no sense, and what reading certificates throws. */
export function openConnection(address: string, { security, keepalive = {} }: TransportOptions): Connection {
  const target = parseAddress(address);
  const intervalMs = keepalive.intervalMs ?? 30_000;
  if (!(intervalMs >= minKeepaliveMs)) {
    throw new TypeError(`keepalive.intervalMs must be at least ${minKeepaliveMs}`);
  }
  const open = security === "plaintext" ? plaintext(target) : mutualTls(target, security);
  const scheme = security === "plaintext" ? "http" : "https";
  const baseUrl = `${scheme}://${target.kind === "unix" ? "localhost" : target.origin}`;
  const sessions = new Sessions({
    origin: new URL(baseUrl).origin,
    openSocket: open,
    pingIntervalMs: intervalMs,
    pingTimeoutMs: keepalive.timeoutMs ?? 10_000,
    backgroundPath: `/${TokenService.typeName}/${TokenService.method.watch.name}`,
  });
  return {
    transport: createGrpcTransport({
      baseUrl,
      sessionManager: sessions,
      readMaxBytes: maxAnswerBytes,
      acceptCompression: [],
    }),
    close: () => sessions.close(),
    onLeave: (listener) => sessions.onLeave(listener),
  };
}

type Target =
  | { readonly kind: "unix"; readonly path: string }
  | { readonly kind: "tcp"; readonly host: string; readonly port: number; readonly origin: string };

function parseAddress(address: string): Target {
  const [, path] = /^unix:(\/.+)$/.exec(address) ?? [];
  if (path !== undefined) {
    return { kind: "unix", path };
  }
  const [, bracketed, plain, digits] = /^(?:\[([0-9A-Fa-f:.]+)\]|([0-9A-Za-z._-]+)):(\d{1,5})$/.exec(address) ?? [];
  const host = bracketed ?? plain;
  const port = Number(digits);
  if (host === undefined || !(port >= 1 && port <= 65_535) || (bracketed !== undefined && isIP(bracketed) !== 6)) {
    throw new TypeError("the address must be HOST:PORT, [IPV6]:PORT or unix:/PATH");
  }
  return { kind: "tcp", host, port, origin: address };
}

function plaintext(target: Target): () => Socket {
  if (target.kind === "unix") {
    return () => connectTcp({ path: target.path });
  }
  const { host, port } = target;
  if (host !== "localhost" && host !== "::1" && !(isIP(host) === 4 && host.startsWith("127."))) {
    throw new TypeError("plaintext is for loopback addresses and unix sockets alone: give ca, cert and key");
  }
  return () => connectTcp({ host, port, noDelay: true });
}

function mutualTls(target: Target, { ca, cert, key, serverName }: MutualTls): () => Socket {
  const read = () => ({ ca: bytesOf(ca), cert: bytesOf(cert), key: bytesOf(key) });
  // What cannot be read is told now, not by the first call.
  createSecureContext(read());
  const where = target.kind === "unix" ? { path: target.path } : { host: target.host, port: target.port };
  const name = serverName ?? (target.kind === "unix" ? "localhost" : target.host);
  return () => {
    const socket = connectTls({
      ...where,
      ...read(),
      // A server name is never an address (RFC 6066 section 3): such a host is compared with the addresses in the
      // certificate.
      servername: isIP(name) === 0 ? name : "",
      ALPNProtocols: ["h2"],
      minVersion: "TLSv1.2",
    });
    socket.setNoDelay(true);
    return socket;
  };
}

function bytesOf(pem: Pem): Buffer {
  return typeof pem === "string" ? readFileSync(pem) : Buffer.from(pem);
}
