import type { HttpRequest } from "../../wire/exchange.ts";
import { isUnencoded, isUtf8, parseMediaType } from "../../wire/media-type.ts";
import { bodyIncomplete, bodyMalformed, bodyTooLarge, mediaTypeUnsupported, RestError } from "./errors.ts";
import { fromForm, fromJson, type Parameters } from "./parameters.ts";

const maxBodyBytes = 64 * 1024;

/** A body, whole, and what it says it is. */
export type Body = {
  readonly bytes: Uint8Array;
  readonly mediaType: "json" | "form" | "none";
};

/** What a request has that has none. */
export const noBody: Body = { bytes: new Uint8Array(0), mediaType: "none" };

/** Reads the body. Throws 415 for the first byte of a type that is not ours, and 413 once there are too many. */
export async function readBody({ header, body }: HttpRequest): Promise<Body> {
  const mediaType = mediaTypeOf(header);
  const announced = Number(header.get("content-length"));
  if (mediaType === "none" && announced > 0) {
    throw new RestError(mediaTypeUnsupported);
  }
  if (announced > maxBodyBytes) {
    throw new RestError(bodyTooLarge);
  }
  const chunks: Uint8Array[] = [];
  let length = 0;
  try {
    for await (const chunk of body) {
      length += chunk.byteLength;
      if (length > (mediaType === "none" ? 0 : maxBodyBytes)) {
        break;
      }
      chunks.push(chunk);
    }
  } catch (error) {
    throw new RestError(bodyIncomplete, { cause: error });
  }
  if (mediaType === "none" && length > 0) {
    throw new RestError(mediaTypeUnsupported);
  }
  if (length > maxBodyBytes) {
    throw new RestError(bodyTooLarge);
  }
  return { bytes: Buffer.concat(chunks), mediaType };
}

/** The parameters in a body; an empty body has none. */
export function parseBody({ bytes, mediaType }: Body): Parameters {
  const text = textOf(bytes);
  if (mediaType !== "json") {
    return fromForm(text);
  }
  const value = parseJson(text);
  if (typeof value !== "object" || value === null || Array.isArray(value)) {
    throw new RestError(bodyMalformed("must be one JSON object"));
  }
  return fromJson(value, text);
}

/** `none` also for a type that is not ours: a client that sends no body may name any. */
function mediaTypeOf(header: Headers): Body["mediaType"] {
  const type = parseMediaType(header.get("content-type") ?? "");
  if (type === null || !isUtf8(type) || !isUnencoded(header.get("content-encoding"))) {
    return "none";
  }
  return type.name === "application/json"
    ? "json"
    : type.name === "application/x-www-form-urlencoded"
      ? "form"
      : "none";
}

function textOf(bytes: Uint8Array): string {
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  } catch (error) {
    throw new RestError(bodyMalformed("must be UTF-8"), { cause: error });
  }
}

function parseJson(text: string): unknown {
  if (text.trim() === "") {
    return {};
  }
  try {
    return JSON.parse(text);
  } catch (error) {
    throw new RestError(bodyMalformed("must be JSON"), { cause: error });
  }
}
