import { isIPv6 } from "node:net";

/** Where a listener waits: a TCP port, or a socket in the file system. */
export type ListenAddress = { readonly host: string; readonly port: number } | { readonly path: string };

/**
 * Reads `host:port`, `[IPv6]:port` or `unix:/absolute/path`; null when it is none of them. Port 0 means any free one.
 */
export function parseListenAddress(text: string): ListenAddress | null {
  const path = /^unix:(\/.+)$/.exec(text)?.[1];
  if (path !== undefined) {
    return { path };
  }
  const match = /^(?:\[([0-9A-Fa-f:.]+)\]|([A-Za-z0-9._-]+)):(\d{1,5})$/.exec(text);
  const host = match?.[1] ?? match?.[2];
  const port = Number(match?.[3]);
  const isBracketed = match?.[1] !== undefined;
  if (host === undefined || port > 65_535 || (isBracketed && !isIPv6(host))) {
    return null;
  }
  return { host, port };
}

/** The address as parseListenAddress reads it. */
export function formatListenAddress(address: ListenAddress): string {
  if ("path" in address) {
    return `unix:${address.path}`;
  }
  return address.host.includes(":") ? `[${address.host}]:${address.port}` : `${address.host}:${address.port}`;
}
