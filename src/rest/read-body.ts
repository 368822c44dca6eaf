import { bodyIncomplete, bodyMalformed, bodyTooLarge, mediaTypeUnsupported, RestError } from "./errors.ts";
import type { HttpRequest } from "./http-exchange.ts";
import { fromForm, fromJson, type Parameters } from "./parameters.ts";

const maxBodyBytes = 64 * 1024;

/** A body, whole, and what it says it is. */
export type Body = {
  readonly bytes: Uint8Array;
  readonly mediaType: "json" | "form" | "none";
};

/** What a request has that has none. */
export const noBody: Body = { bytes: new Uint8Array(0), mediaType: "none" };

/** Reads the body. Throws 415 before it looks at it, and 413 once it is too long. */
export async function readBody({ header, body }: HttpRequest): Promise<Body> {
  const mediaType = mediaTypeOf(header);
  if (Number(header.get("content-length")) > maxBodyBytes) {
    throw new RestError(bodyTooLarge);
  }
  const chunks: Uint8Array[] = [];
  let length = 0;
  try {
    for await (const chunk of body) {
      length += chunk.byteLength;
      if (length > maxBodyBytes) {
        break;
      }
      chunks.push(chunk);
    }
  } catch (error) {
    throw new RestError(bodyIncomplete, { cause: error });
  }
  if (length > maxBodyBytes) {
    throw new RestError(bodyTooLarge);
  }
  if (mediaType === "none" && length > 0) {
    throw new RestError(mediaTypeUnsupported);
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

function mediaTypeOf(header: Headers): Body["mediaType"] {
  const encoding = header.get("content-encoding") ?? "identity";
  const [name = "", ...parameters] = (header.get("content-type") ?? "").toLowerCase().split(";");
  const isUtf8 = parameters.every((one) => /^ *(?:charset="?utf-8"? *)?$/.test(one));
  switch (encoding === "identity" && isUtf8 ? name.trim() : "another") {
    case "application/json":
      return "json";
    case "application/x-www-form-urlencoded":
      return "form";
    case "":
      return "none";
    default:
      throw new RestError(mediaTypeUnsupported);
  }
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
