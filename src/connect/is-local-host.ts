/** Whether the URL's host is this machine by name or by loopback address. Other names may be made to point here (DNS rebinding). */
export function isLocalHost(url: string): boolean {
  const { hostname } = new URL(url);
  // The URL parser has turned every spelling of an IPv4 address into four decimal numbers.
  return hostname === "localhost" || hostname === "[::1]" || /^127\.\d+\.\d+\.\d+$/.test(hostname);
}
