import { hpackStaticTable } from "./hpack-static-table.ts";

/** What a request's head makes of a field. `Malformed` breaks RFC 9113 section 8.2 or the grammar of a pseudo-header field (8.3.1). */
export const FieldKind = {
  Regular: 0,
  Method: 1,
  Scheme: 2,
  Authority: 3,
  Path: 4,
  Host: 5,
  ContentLength: 6,
  Cookie: 7,
  Expect: 8,
  Malformed: 9,
} as const;
export type FieldKind = (typeof FieldKind)[keyof typeof FieldKind];

/** A header field, judged once when it is decoded: one that is named by index again costs no second look. */
export type Field = {
  readonly name: string;
  readonly value: string;
  /** Its size in the dynamic table and in a header list (RFC 7541 section 4.1). */
  readonly bytes: number;
  readonly kind: FieldKind;
  /** The place among the fields that lanes ask for, or -1. */
  readonly slot: number;
};

const requestKinds: ReadonlyMap<string, FieldKind> = new Map([
  [":method", FieldKind.Method],
  [":scheme", FieldKind.Scheme],
  [":authority", FieldKind.Authority],
  [":path", FieldKind.Path],
  ["host", FieldKind.Host],
  ["content-length", FieldKind.ContentLength],
  ["cookie", FieldKind.Cookie],
  ["expect", FieldKind.Expect],
  // Section 8.2.2: these speak of a connection of HTTP/1.1, and make a message malformed.
  ["connection", FieldKind.Malformed],
  ["proxy-connection", FieldKind.Malformed],
  ["keep-alive", FieldKind.Malformed],
  ["transfer-encoding", FieldKind.Malformed],
  ["upgrade", FieldKind.Malformed],
]);

/** The characters of a token (RFC 9110 section 5.6.2) and, of these, those of a field name: no upper case (RFC 9113 section 8.2.1). */
const isToken = charactersOf("!#$%&'*+-.^_`|~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz");
const isName = charactersOf("!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyz");
/** RFC 3986 section 3.2 without userinfo, which RFC 9113 section 8.3.1 forbids; and `/`: some clients name a unix socket by its path. */
const isAuthority = charactersOf("!$%&'()*+,-./0123456789:;=ABCDEFGHIJKLMNOPQRSTUVWXYZ[]_abcdefghijklmnopqrstuvwxyz~");
/** RFC 3986 section 3.1, in lower case. */
const isScheme = charactersOf("+-.0123456789abcdefghijklmnopqrstuvwxyz");
const isDigit = charactersOf("0123456789");
/** RFC 3986 sections 3.3 and 3.4, and what browsers send besides; no space, control, fragment or non-ASCII character. */
const isPath = Uint8Array.from({ length: 256 }, (_, code) => (code > 0x20 && code < 0x7f && code !== 0x23 ? 1 : 0));

function charactersOf(characters: string): Uint8Array {
  const table = new Uint8Array(256);
  for (const character of characters) {
    table[character.charCodeAt(0)] = 1;
  }
  return table;
}

function holdsOnly(text: string, allowed: Uint8Array): boolean {
  for (let at = 0; at < text.length; at++) {
    if (allowed[text.charCodeAt(at)] !== 1) {
      return false;
    }
  }
  return true;
}

/**
 * Section 8.2.1: no NUL, LF or CR. Spaces and tabs at the ends, which it forbids as well, are taken: gRPC clients send metadata as it is
 * given to them, and gRPC lets servers strip it.
 */
function isFieldValue(value: string): boolean {
  for (let at = 0; at < value.length; at++) {
    const code = value.charCodeAt(at);
    if (code < 0x0e && (code === 0x00 || code === 0x0a || code === 0x0d)) {
      return false;
    }
  }
  return true;
}

/** Whether a name and a value may be sent in a response's header or trailer (sections 8.2.1 and 8.2.2). */
export function isSendable(name: string, value: string): boolean {
  return (
    name !== "" &&
    holdsOnly(name, isName) &&
    requestKinds.get(name) !== FieldKind.Malformed &&
    isFieldValue(value) &&
    !/^[ \t]|[ \t]$/.test(value)
  );
}

function kindOf(name: string, value: string): FieldKind {
  const kind = requestKinds.get(name) ?? FieldKind.Regular;
  return isWellFormed(kind, name, value) ? kind : FieldKind.Malformed;
}

function isWellFormed(kind: FieldKind, name: string, value: string): boolean {
  switch (kind) {
    case FieldKind.Method:
      return value !== "" && holdsOnly(value, isToken);
    case FieldKind.Scheme:
      return value !== "" && holdsOnly(value, isScheme);
    case FieldKind.Authority:
    case FieldKind.Host:
      return holdsOnly(value, isAuthority);
    case FieldKind.Path:
      // Section 8.3.1: not empty; a path, or * where the method is OPTIONS, which the head knows.
      return (value.startsWith("/") || value === "*") && holdsOnly(value, isPath);
    case FieldKind.ContentLength:
      return value !== "" && value.length <= 15 && holdsOnly(value, isDigit);
    case FieldKind.Malformed:
      return false;
    default:
      // Any other name with a colon in front is a pseudo-header field that no request has (section 8.3): a colon is in no name.
      // TE may only say "trailers" (section 8.2.2).
      return (
        name !== "" &&
        holdsOnly(name, isName) &&
        isFieldValue(value) &&
        (name !== "te" || value.trim().toLowerCase() === "trailers")
      );
  }
}

/** Makes fields, and knows which of them lanes ask for. One for a server: the static table's fields are made once. */
export class FieldFactory {
  readonly #slots: ReadonlyMap<string, number>;
  readonly #static: readonly Field[];

  constructor(laneHeaders: readonly string[]) {
    this.#slots = new Map(laneHeaders.map((name, slot) => [name, slot]));
    this.#static = hpackStaticTable.map(([name, value]) => this.make(name, value));
  }

  make(name: string, value: string): Field {
    return {
      name,
      value,
      bytes: name.length + value.length + 32,
      kind: kindOf(name, value),
      slot: this.#slots.get(name) ?? -1,
    };
  }

  /** Hot path. The field at this index of the static table, from 1; undefined past its end. */
  staticField(index: number): Field | undefined {
    return this.#static[index - 1];
  }

  get staticCount(): number {
    return this.#static.length;
  }
}
