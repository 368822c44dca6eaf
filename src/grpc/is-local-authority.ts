/**
 * Hot path. Whether an `:authority` names this machine in one of the usual ways. Others may do so too (`127.1`, `LOCALHOST`): to tell them
 * from what only points here (DNS rebinding) takes a parser of URLs.
 */
export function isLocalAuthority(authority: string): boolean {
  return /^(?:localhost|127\.0\.0\.1|\[::1\])(?::\d{1,5})?$/.test(authority);
}
