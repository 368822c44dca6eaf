import type { IncomingMessage } from "node:http";
import { type Credentials, credentialHeaders } from "./guard.ts";

/** As Node got them: `headers` keeps only the first of two Authorization headers. */
export function credentialsOf({ rawHeaders }: Pick<IncomingMessage, "rawHeaders">): Credentials {
  return {
    authorization: joined(rawHeaders, "authorization"),
    apiKey: joined(rawHeaders, "x-api-key"),
    requestId: joined(rawHeaders, "x-request-id"),
  };
}

function joined(rawHeaders: readonly string[], name: string): string | null {
  const values = rawHeaders.filter((_, index) => index % 2 === 1 && rawHeaders[index - 1]?.toLowerCase() === name);
  return values.length === 0 ? null : values.join(",");
}

/** What runs after the guard, and logs a request, finds no key in it. */
export function removeCredentials(request: Pick<IncomingMessage, "headers" | "rawHeaders">): void {
  for (const name of credentialHeaders) {
    delete request.headers[name];
  }
  const isCredential = (name = "") => credentialHeaders.some((credential) => credential === name.toLowerCase());
  request.rawHeaders = request.rawHeaders.filter((_, index, all) => !isCredential(all[index - (index % 2)]));
}
