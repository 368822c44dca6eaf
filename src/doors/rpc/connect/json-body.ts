import { gunzipSync } from "node:zlib";
import { type DescMessage, type DescMethod, fromJson, type JsonObject, type JsonValue } from "@bufbuild/protobuf";
import { TimestampSchema } from "@bufbuild/protobuf/wkt";
import { maxMessageBytes } from "../../../calls/limits.ts";
import { grpcTypeOf } from "../../../wire/media-type.ts";
import { prefixBytes } from "../../../wire/protobuf/length-prefixed.ts";

const gzipMark = 0x1f;

/** The bytes of a JSON request's body, kept as they are read: what protobuf-es makes of them does not tell all. */
export type JsonBody = Uint8Array[];

/** Where to keep the body of a request of one JSON message; null for any other. */
export function jsonBodyOf({ methodKind }: DescMethod, contentType: string | null): JsonBody | null {
  return methodKind === "unary" && contentType?.toLowerCase().includes("json") === true ? [] : null;
}

/** The same body, whose bytes are kept as they pass. */
export async function* keeping(body: AsyncIterable<Uint8Array>, kept: JsonBody): AsyncGenerator<Uint8Array> {
  for await (const chunk of body) {
    kept.push(chunk);
    yield chunk;
  }
}

/**
 * The name of a field whose time is on no calendar, such as 2027-02-31T00:00:00Z; null when there is none. protobuf-es
 * reads it as another day, and the message does not tell. The body is one that it could read.
 */
export function unrealTimeField(input: DescMessage, contentType: string | null, body: JsonBody): string | null {
  const values = new Map(membersOf(contentType, body));
  const isUnreal = (value: unknown) => typeof value === "string" && !isReal(value);
  const field = timeFields(input).find(({ name, jsonName }) =>
    [name, jsonName].some((key) => isUnreal(values.get(key))),
  );
  return field?.name ?? null;
}

/**
 * The name of the first field whose value is not one by itself, such as an enum's word that it does not have; null when
 * there is none. protobuf-es names the field in errors of its own making, and not in those of enums and times.
 */
export function unreadableField(input: DescMessage, contentType: string | null, body: JsonBody): string | null {
  for (const [key, value] of membersOf(contentType, body)) {
    const field = input.fields.find(({ name, jsonName }) => key === name || key === jsonName);
    if (field !== undefined && !isReadable(input, { [key]: value })) {
      return field.name;
    }
  }
  return null;
}

function isReadable(input: DescMessage, member: JsonObject): boolean {
  try {
    fromJson(input, member);
    return true;
  } catch {
    return false;
  }
}

/** The members of the one object, as far as there is one. */
function membersOf(contentType: string | null, body: JsonBody): readonly (readonly [string, JsonValue])[] {
  const message = parse(contentType, body);
  return typeof message === "object" && message !== null && !Array.isArray(message) ? Object.entries(message) : [];
}

function parse(contentType: string | null, body: JsonBody): JsonValue {
  try {
    return JSON.parse(textOf(contentType, body));
  } catch {
    return null;
  }
}

function timeFields(input: DescMessage) {
  return input.fields.filter(({ message }) => message?.typeName === TimestampSchema.typeName);
}

/** The one message, without the envelope that gRPC and gRPC-Web put it in, and without compression. */
function textOf(contentType: string | null, body: JsonBody): string {
  const bytes = Buffer.concat(body);
  const message = grpcTypeOf(contentType) === null ? bytes : bytes.subarray(prefixBytes);
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
