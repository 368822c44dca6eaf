import { WireType } from "./wire-reader.ts";

// Encoded fields are kept as text of a character a byte: nothing grows as cheaply, and one copy at the end makes bytes
// of it.

/** A string field (protobuf's encoding), or nothing for the empty string, which is its default. */
export function stringField(number: number, text: string): string {
  return text === "" ? "" : lengthDelimited(number, utf8Text(text));
}

/** A repeated string field, or nothing where there is none. */
export function stringFields(number: number, texts: readonly string[]): string {
  let fields = "";
  for (const text of texts) {
    fields += lengthDelimited(number, utf8Text(text));
  }
  return fields;
}

/**
 * A field of an integer that a double holds exactly, of an enum or of a bool; or nothing for 0, which is its default.
 */
export function varintField(number: number, value: number): string {
  return value === 0 ? "" : varint(8 * number + WireType.Varint) + varint(value);
}

/** A message field, of the message's own fields. */
export function messageField(number: number, fields: string): string {
  return lengthDelimited(number, fields);
}

function lengthDelimited(number: number, content: string): string {
  return varint(8 * number + WireType.LengthDelimited) + varint(content.length) + content;
}

function varint(value: number): string {
  if (value >= 0 && value < 0x80) {
    return String.fromCharCode(value);
  }
  let text = "";
  let rest = value;
  // Below zero, it is two's complement of 64 bits: nine groups of seven, and the sign.
  for (let groups = 0; value < 0 ? groups < 9 : rest >= 0x80; groups++) {
    const next = Math.floor(rest / 0x80);
    text += String.fromCharCode((rest - 0x80 * next) | 0x80);
    rest = next;
  }
  return text + String.fromCharCode(value < 0 ? 1 : rest);
}

function utf8Text(text: string): string {
  return /^[\0-\x7f]*$/.test(text) ? text : Buffer.from(text, "utf8").toString("latin1");
}
