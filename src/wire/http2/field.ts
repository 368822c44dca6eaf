import { hpackStaticTable } from "./hpack-static-table.ts";

/**
 * What a request's head makes of a field. `Malformed` breaks RFC 9113 section 8.2 or the grammar of a pseudo-header
 * field (8.3.1).
 */
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
export class Field {
  readonly name: string;
  /** Its size in the dynamic table and in a header list (RFC 7541 section 4.1). */
  readonly bytes: number;
  readonly kind: FieldKind;
  /** What its name alone makes of it. */
  readonly nameKind: FieldKind;
  /** The place among the fields that lanes ask for, or -1. */
  readonly slot: number;
  /** The value, or where its octets lie until a reader asks for it. */
  #value: string | null;
  readonly #octets: Buffer;
  readonly #start: number;
  readonly #length: number;

  constructor(
    { name, nameKind, slot }: FieldName,
    kind: FieldKind,
    value: string | null,
    octets: Buffer,
    start: number,
    length: number,
  ) {
    this.name = name;
    this.bytes = name.length + length + 32;
    this.kind = kind;
    this.nameKind = nameKind;
    this.slot = slot;
    this.#value = value;
    this.#octets = octets;
    this.#start = start;
    this.#length = length;
  }

  get value(): string {
    this.#value ??= this.#octets.toString("latin1", this.#start, this.#start + this.#length);
    return this.#value;
  }
}

/** What all fields of a name have in common. */
export type FieldName = Pick<Field, "name" | "nameKind" | "slot">;

const noOctets = Buffer.alloc(0);

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

/**
 * The characters of a token (RFC 9110 section 5.6.2), and the ones among them that a field name may have: no upper case
 * (RFC 9113 section 8.2.1).
 */
const isToken = charactersOf("!#$%&'*+-.^_`|~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz");
const isName = charactersOf("!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyz");
/**
 * RFC 3986 section 3.2 without userinfo, which RFC 9113 section 8.3.1 forbids; and `/`: some clients name a unix socket
 * by its path.
 */
const isAuthority = charactersOf("!$%&'()*+,-./0123456789:;=ABCDEFGHIJKLMNOPQRSTUVWXYZ[]_abcdefghijklmnopqrstuvwxyz~");
/** RFC 3986 section 3.1, in lower case. */
const isScheme = charactersOf("+-.0123456789abcdefghijklmnopqrstuvwxyz");
const isDigit = charactersOf("0123456789");
/**
 * RFC 3986 sections 3.3 and 3.4, and what browsers send besides; no space, control, fragment or non-ASCII character.
 */
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
 * Section 8.2.1: no NUL, LF or CR. Spaces and tabs at the ends, which it forbids as well, are taken: gRPC clients send
 * metadata as it is given to them, and gRPC lets servers strip it.
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

/** The same, of octets. */
function isFieldOctets(octets: Uint8Array, start: number, end: number): boolean {
  for (let at = start; at < end; at++) {
    const code = octets[at] ?? 0;
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

/**
 * A name with a colon in front that stands for none of the known kinds is a pseudo-header field that no request has
 * (section 8.3): a colon is in no name.
 */
function kindOfName(name: string): FieldKind {
  const kind = requestKinds.get(name);
  return kind ?? (name !== "" && holdsOnly(name, isName) ? FieldKind.Regular : FieldKind.Malformed);
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
      // TE may only say "trailers" (section 8.2.2).
      return isFieldValue(value) && (name !== "te" || value.trim().toLowerCase() === "trailers");
  }
}

/** Makes fields, and knows which of them lanes ask for. One for a server: the static table's fields are made once. */
export class FieldFactory {
  readonly #slots: ReadonlyMap<string, number>;
  readonly #static: readonly Field[];

  constructor(laneHeaders: readonly string[]) {
    this.#slots = new Map(laneHeaders.map((name, slot) => [name, slot]));
    this.#static = hpackStaticTable.map(([name, value]) => this.make(this.name(name), value));
  }

  name(name: string): FieldName {
    return { name, nameKind: kindOfName(name), slot: this.#slots.get(name) ?? -1 };
  }

  /** A field of this name; another field will do for its name. */
  make(named: FieldName, value: string): Field {
    const { name, nameKind } = named;
    const kind = isWellFormed(nameKind, name, value) ? nameKind : FieldKind.Malformed;
    return new Field(named, kind, value, noOctets, 0, value.length);
  }

  /** Whether the value of a field of this name may be anything that a field value may be, and no lane reads it. */
  isPlain({ name, nameKind, slot }: FieldName): boolean {
    return nameKind === FieldKind.Regular && slot === -1 && name !== "te";
  }

  /**
   * A field of a plain name, of which no text is made before somebody asks for it. The octets must not
   * change.
   */
  makePlain(named: FieldName, octets: Buffer, start: number, length: number): Field {
    const kind = isFieldOctets(octets, start, start + length) ? FieldKind.Regular : FieldKind.Malformed;
    return new Field(named, kind, null, octets, start, length);
  }

  /** The field at this index of the static table, from 1; undefined past its end. */
  staticField(index: number): Field | undefined {
    return this.#static[index - 1];
  }

  get staticCount(): number {
    return this.#static.length;
  }
}
