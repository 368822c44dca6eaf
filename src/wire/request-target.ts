/** The authority of a request that names none: HTTP/1.0, or HTTP/2 without `:authority` and Host. */
export const unnamedAuthority = "localhost";

// Hosts and ports only. User information is an error (RFC 9110, 4.2.4), and percent signs or other
// sub-delimiters in a host only help an attacker who wants two parsers to disagree.
const authorityPattern = /^(?:\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._~-]+)(?::\d{1,5})?$/;

// Visible ASCII without `#`, which never travels, and `\`, which URL reads as `/`.
const pathPattern = /^\/[\x21\x22\x24-\x5b\x5d-\x7e]*$/;

/** The absolute URL of an authority and a path with query, or null when they do not make one. Never throws. */
export function requestUrl(scheme: string, authority: string, path: string): string | null {
  if (!authorityPattern.test(authority) || !pathPattern.test(path)) {
    return null;
  }
  const url = `${scheme}://${authority}${path}`;
  return URL.canParse(url) ? url : null;
}

/**
 * Splits an HTTP/1.1 request target: origin-form takes the authority from Host, absolute-form brings its own (RFC 9112,
 * 3.2.2).
 */
export function splitTarget(target: string, host: string): { authority: string; path: string } | null {
  if (target.startsWith("/")) {
    return { authority: host, path: target };
  }
  const match = /^https?:\/\/([^/?#]*)([^#]*)$/i.exec(target);
  const [, authority, rest] = match ?? [];
  if (authority === undefined || rest === undefined) {
    return null;
  }
  return { authority, path: rest.startsWith("/") ? rest : `/${rest}` };
}

/**
 * The authority of a request over a unix socket. Clients make one from the socket's path (grpc-go sends
 * `%2Ftmp%2Fx.sock`); it names nothing.
 */
export function unixAuthority(authority: string): string {
  return /^(?:%2F|\/|unix:)/i.test(authority) ? unnamedAuthority : authority;
}
