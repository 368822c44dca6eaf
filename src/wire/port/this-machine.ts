import { isIPv4, isIPv6 } from "node:net";

/**
 * Whether a host, as in a URL or of a socket, can only mean this machine: `localhost`, 127.0.0.0/8, ::1, or one of the former as an
 * IPv4-mapped address (::ffff:127.0.0.1). Other names may be made to point here (DNS rebinding).
 */
export function isThisMachine(host: string): boolean {
  const name = host.toLowerCase();
  if (name === "localhost") {
    return true;
  }
  const address = name.startsWith("[") && name.endsWith("]") ? name.slice(1, -1) : name;
  return isIPv4(address) ? address.startsWith("127.") : isIPv6(address) && isLoopbackIPv6(address);
}

/** The same of an absolute URL's host. The URL parser has turned every spelling of an address into one. */
export function namesThisMachine(url: string): boolean {
  return isThisMachine(new URL(url).hostname);
}

/**
 * Hot path. Whether an `:authority` names this machine in one of the usual ways. It may do so in others too (`127.1`, `LOCALHOST`), which
 * takes a parser of URLs to tell.
 */
export function isUsualNameOfThisMachine(authority: string): boolean {
  return /^(?:localhost|127\.0\.0\.1|\[::1\])(?::\d{1,5})?$/.test(authority);
}

// URL writes an IPv6 address in its one canonical form, mapped IPv4 addresses in hexadecimal.
function isLoopbackIPv6(address: string): boolean {
  const url = URL.parse(`http://[${address}]/`);
  return url !== null && (url.hostname === "[::1]" || /^\[::ffff:7f[0-9a-f]{2}:[0-9a-f]{1,4}\]$/.test(url.hostname));
}
