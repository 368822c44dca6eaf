import type { HttpResponse } from "../../src/wire/exchange.ts";

/** The whole body of a response; empty where it has none. */
export async function bodyOf({ body = new Uint8Array(0) }: HttpResponse): Promise<Buffer> {
  return Buffer.concat(body instanceof Uint8Array ? [body] : await Array.fromAsync(body));
}
