/** Longer credentials are no key's: a key has far fewer characters. */
const maxCredentialsLength = 512;

/**
 * The key that an Authorization header presents, or null when it presents none: `Bearer KEY` (RFC 6750), or `Basic`
 * with the key as user name and no password (RFC 7617), as `curl -u KEY:` sends it. Whether it is a key, Authenticate says.
 */
export function keyOfAuthorization(value: string): string | null {
  const [, scheme = "", credentials = ""] =
    /^(Bearer|Basic) +([^ ]+)$/i.exec(value.slice(0, maxCredentialsLength + 1)) ?? [];
  if (credentials === "" || value.length > maxCredentialsLength) {
    return null;
  }
  return scheme.toLowerCase() === "bearer" ? credentials : userNameOf(credentials);
}

function userNameOf(credentials: string): string | null {
  const bytes = Buffer.from(credentials, "base64");
  if (bytes.toString("base64").replace(/=+$/, "") !== credentials.replace(/=+$/, "")) {
    return null;
  }
  const [userName = "", password, ...rest] = bytes.toString("latin1").split(":");
  return userName !== "" && password === "" && rest.length === 0 ? userName : null;
}
