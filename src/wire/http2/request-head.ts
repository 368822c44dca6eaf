import { type Field, FieldKind } from "./field.ts";

/** The part of a request that its header block holds. One object for a connection, filled again by each request. */
export class RequestHead {
  method = "";
  scheme = "";
  /** `:authority`, or `Host` where that is missing (RFC 9113 section 8.3.1). */
  authority = "";
  path = "";
  /** -1 where it was not told. */
  contentLength = -1;
  expectsContinue = false;
  /** By slot: the fields that lanes ask for. */
  laneHeaders: (string | null)[] = [];
}

const methodBit = 1 << FieldKind.Method;
const schemeBit = 1 << FieldKind.Scheme;
const authorityBit = 1 << FieldKind.Authority;
const pathBit = 1 << FieldKind.Path;
const hostBit = 1 << FieldKind.Host;
const pseudoBits = methodBit | schemeBit | authorityBit | pathBit;

/**
 * Hot path. Fills `head` from a request's fields. False if the request is malformed (RFC 9113 sections 8.1.1, 8.2 and
 * 8.3): a stream error of PROTOCOL_ERROR.
 */
export function readRequestHead(
  fields: readonly Field[],
  count: number,
  laneHeaderCount: number,
  head: RequestHead,
): boolean {
  let seen = 0;
  let host = "";
  let sawRegular = false;
  head.authority = "";
  head.contentLength = -1;
  head.expectsContinue = false;
  const { laneHeaders } = head;
  for (let slot = 0; slot < laneHeaderCount; slot++) {
    laneHeaders[slot] = null;
  }

  for (let index = 0; index < count; index++) {
    const field = fields[index];
    if (field === undefined) {
      return false;
    }
    const { kind } = field;
    if (kind >= FieldKind.Method && kind <= FieldKind.Path) {
      // Section 8.3: pseudo-header fields come first, and each once.
      if (sawRegular || (seen & (1 << kind)) !== 0) {
        return false;
      }
      seen |= 1 << kind;
      switch (kind) {
        case FieldKind.Method:
          head.method = field.value;
          break;
        case FieldKind.Scheme:
          head.scheme = field.value;
          break;
        case FieldKind.Authority:
          head.authority = field.value;
          break;
        default:
          head.path = field.value;
      }
      continue;
    }
    sawRegular = true;
    if (field.slot >= 0) {
      // Lines of one field are one list (RFC 9110 section 5.2).
      const before = laneHeaders[field.slot];
      laneHeaders[field.slot] = before === null || before === undefined ? field.value : `${before}, ${field.value}`;
    }
    switch (kind) {
      case FieldKind.Regular:
      case FieldKind.Cookie:
        break;
      case FieldKind.Malformed:
        return false;
      case FieldKind.Host:
        if ((seen & hostBit) !== 0) {
          return false;
        }
        seen |= hostBit;
        host = field.value;
        break;
      case FieldKind.ContentLength: {
        const length = Number(field.value);
        if (head.contentLength !== -1 && head.contentLength !== length) {
          return false;
        }
        head.contentLength = length;
        break;
      }
      default:
        head.expectsContinue = field.value.toLowerCase() === "100-continue";
    }
  }
  return isComplete(head, seen, host);
}

function isComplete(head: RequestHead, seen: number, host: string): boolean {
  if (host !== "" && head.authority === "") {
    head.authority = host;
  } else if ((seen & hostBit) !== 0 && host.toLowerCase() !== head.authority.toLowerCase()) {
    // Section 8.3.1: Host and :authority name one thing.
    return false;
  }
  if ((seen & methodBit) !== 0 && head.method === "CONNECT") {
    // Section 8.5: an authority, and neither a scheme nor a path.
    head.scheme = "";
    head.path = "";
    return (seen & pseudoBits) === (methodBit | authorityBit);
  }
  // Section 8.3.1: exactly one method, scheme and path.
  const needed = methodBit | schemeBit | pathBit;
  return (seen & needed) === needed && (head.path !== "*" || head.method === "OPTIONS");
}

/** Whether these may be a request's trailers: no pseudo-header field (section 8.1), nothing malformed. */
export function areTrailers(fields: readonly Field[], count: number): boolean {
  for (let index = 0; index < count; index++) {
    const kind = fields[index]?.kind ?? FieldKind.Malformed;
    if (kind === FieldKind.Malformed || (kind >= FieldKind.Method && kind <= FieldKind.Path)) {
      return false;
    }
  }
  return true;
}

/** The fields that are no pseudo-header fields. Cookies become one field again (section 8.2.3). */
export function readHeaders(fields: readonly Field[], count: number): Headers {
  const headers = new Headers();
  const cookies: string[] = [];
  for (const { kind, name, value } of fields.slice(0, count)) {
    if (kind === FieldKind.Cookie) {
      cookies.push(value);
    } else if (kind < FieldKind.Method || kind > FieldKind.Path) {
      headers.append(name, value);
    }
  }
  if (cookies.length > 0) {
    headers.set("cookie", cookies.join("; "));
  }
  return headers;
}
