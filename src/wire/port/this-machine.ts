import { isIPv4, isIPv6 } from "node:net";
import type { HttpRequest } from "../exchange.ts";
import type { Peer } from "./peer.ts";

/**
 * Whether a host, as in a URL or of a socket, can only mean this machine: `localhost`, 127.0.0.0/8, ::1, or one of the
 * former as an IPv4-mapped address (::ffff:127.0.0.1). Other names may be made to point here.
 */
export function isThisMachine(host: string): boolean {
  const name = host.toLowerCase();
  if (name === "localhost") {
    return true;
  }
  const address = name.startsWith("[") && name.endsWith("]") ? name.slice(1, -1) : name;
  return isIPv4(address) ? address.startsWith("127.") : isIPv6(address) && isLoopbackIPv6(address);
}

/**
 * Whether a request that came over plaintext from this machine names another host: a page that a browser here shows may
 * have sent it, to a name that its author points here (DNS rebinding). Every door for callers refuses such a request.
 * Over TLS the certificate names the host.
 */
export function isForAnotherHost({ peer, url }: Pick<HttpRequest, "peer" | "url">): boolean {
  // The parser of URLs turns every spelling of an address into one.
  return peer.transport === "loopback" && !isThisMachine(new URL(url).hostname);
}

/**
 * Whether the peer and the `:authority` alone tell that a request is not for another host. An authority may
 * also name this machine in unusual ways (`127.1`, `LOCALHOST`), which takes `isForAnotherHost` to tell.
 */
export function isSurelyForThisHost(peer: Peer, authority: string): boolean {
  return peer.transport !== "loopback" || /^(?:localhost|127\.0\.0\.1|\[::1\])(?::\d{1,5})?$/.test(authority);
}

// URL writes an IPv6 address in its one canonical form, mapped IPv4 addresses in hexadecimal.
function isLoopbackIPv6(address: string): boolean {
  const url = URL.parse(`http://[${address}]/`);
  return url !== null && (url.hostname === "[::1]" || /^\[::ffff:7f[0-9a-f]{2}:[0-9a-f]{1,4}\]$/.test(url.hostname));
}
