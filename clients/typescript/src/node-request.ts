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
export function removeCredentials(request: IncomingMessage): void {
  const { rawHeaders } = request;
  for (const name of credentialHeaders) {
    for (let index = 0; index < rawHeaders.length; index += 2) {
      if (rawHeaders[index]?.toLowerCase() === name) {
        // Not taken out: Node has counted them, and makes headersDistinct of as many.
        rawHeaders[index + 1] = "";
      }
    }
    delete request.headers[name];
    // Node's HTTP/2 requests have none.
    delete request.headersDistinct?.[name];
  }
}
