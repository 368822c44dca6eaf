import { isIPv4, isIPv6 } from "node:net";

/** Whether a host, as in a URL or of a socket, can only mean this machine: `localhost`, 127.0.0.0/8 or ::1. */
export function isLoopbackAddress(host: string): boolean {
  const name = host.toLowerCase();
  if (name === "localhost") {
    return true;
  }
  const address = name.startsWith("[") && name.endsWith("]") ? name.slice(1, -1) : name;
  if (isIPv4(address)) {
    return address.startsWith("127.");
  }
  if (!isIPv6(address)) {
    return false;
  }
  return isLoopbackIPv6(address);
}

// URL writes an IPv6 address in its one canonical form, mapped IPv4 addresses in hexadecimal.
function isLoopbackIPv6(address: string): boolean {
  const url = URL.parse(`http://[${address}]/`);
  return url !== null && (url.hostname === "[::1]" || /^\[::ffff:7f[0-9a-f]{2}:[0-9a-f]{1,4}\]$/.test(url.hostname));
}
