import type { ShortResponse } from "./exchange.ts";

const encoder = new TextEncoder();

/** A short answer in plain text, for what never reaches a handler. */
export function textResponse(status: number, text: string): ShortResponse {
  return { status, header: { "content-type": "text/plain; charset=utf-8" }, body: encoder.encode(`${text}\n`) };
}
