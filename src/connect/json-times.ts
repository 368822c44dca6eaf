import { gunzipSync } from "node:zlib";
import type { DescMessage } from "@bufbuild/protobuf";
import { TimestampSchema } from "@bufbuild/protobuf/wkt";
import { maxMessageBytes } from "./limits.ts";

const envelopeBytes = 5;
const gzipMark = 0x1f;

/** The bytes of a JSON request's body, kept as they are read; null for a request that has no times or is not JSON. */
export type JsonBody = Uint8Array[];

/** Where to keep the body, if its times must be looked at. */
export function jsonBodyOf(input: DescMessage, contentType: string | null): JsonBody | null {
  return contentType?.toLowerCase().includes("json") === true && timeFields(input).length > 0 ? [] : null;
}

/** The same body, whose bytes are kept as they pass. */
export async function* keeping(body: AsyncIterable<Uint8Array>, kept: JsonBody): AsyncGenerator<Uint8Array> {
  for await (const chunk of body) {
    kept.push(chunk);
    yield chunk;
  }
}

/**
 * The name of a field whose time is on no calendar, such as 2027-02-31T00:00:00Z; null when there is none. protobuf-es reads it as another
 * day, and the message does not tell. The body is one that it could read.
 */
export function unrealTimeField(input: DescMessage, contentType: string | null, body: JsonBody): string | null {
  const message: unknown = JSON.parse(textOf(contentType, body));
  if (typeof message !== "object" || message === null) {
    return null;
  }
  const values = new Map<string, unknown>(Object.entries(message));
  const isUnreal = (value: unknown) => typeof value === "string" && !isReal(value);
  const field = timeFields(input).find(({ name, jsonName }) =>
    [name, jsonName].some((key) => isUnreal(values.get(key))),
  );
  return field?.name ?? null;
}

function timeFields(input: DescMessage) {
  return input.fields.filter(({ message }) => message?.typeName === TimestampSchema.typeName);
}

/** The one message, without the envelope that gRPC and gRPC-Web put it in, and without compression. */
function textOf(contentType: string | null, body: JsonBody): string {
  const bytes = Buffer.concat(body);
  const message =
    contentType?.toLowerCase().startsWith("application/grpc") === true ? bytes.subarray(envelopeBytes) : bytes;
  // No JSON begins like this, and gzip always does.
  const json = message[0] === gzipMark ? gunzipSync(message, { maxOutputLength: maxMessageBytes }) : message;
  // Without a byte order mark, as Connect reads it.
  return new TextDecoder().decode(json);
}

/** Whether the day is in its month, and the hour in its day. */
function isReal(time: string): boolean {
  const [date = "", clock = ""] = time.split("T");
  const midnight = new Date(`${date}T00:00:00Z`);
  return !Number.isNaN(midnight.getTime()) && midnight.toISOString().startsWith(date) && !clock.startsWith("24");
}
