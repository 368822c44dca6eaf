import type { CacheQuestion } from "../../../authority/cache-decision.ts";
import type { AuthenticateRequest } from "../../../authority/judge.ts";
import type { TokenType } from "../../../authority/token.ts";
import { malformed, WireReader, WireType } from "../../../wire/protobuf/wire-reader.ts";
import { typeOfNumber } from "../numbers.ts";

/**
 * Why bytes are no request: not protobuf, a field of a number that the message does not have, or allowed_types of which
 * one is none.
 */
export type RequestFault =
  | { readonly fault: "malformed" }
  | { readonly fault: "unknown_field"; readonly number: number }
  | { readonly fault: "types_invalid" };

// protobuf-es lets messages and groups nest 100 deep, and counts the message itself.
const maxGroupDepth = 99;
const isMalformed: RequestFault = { fault: "malformed" };
const areTypesInvalid: RequestFault = { fault: "types_invalid" };
const noPermissions: readonly string[] = [];
const noTypes: readonly TokenType[] = [];

/**
 * Hot path. Decodes a casapay.token.v1.AuthenticateRequest, which lies in `bytes` from `start` up to `end`. It decides
 * as protobuf-es and Connect do together; as with them, a known field is read as what it is, whatever wire type its tag
 * tells.
 */
export function decodeAuthenticateRequest(
  bytes: Buffer,
  start: number,
  end: number,
): (AuthenticateRequest & CacheQuestion) | RequestFault {
  const reader = new WireReader(bytes, start, end);
  let key = "";
  let requiredPermissions: string[] | null = null;
  let livemode: boolean | null = null;
  let typeNumbers: number[] | null = null;
  let cacheRules = 0;
  let minRevision = 0;
  let unknownField = 0;

  while (reader.at < end) {
    const tag = reader.tag();
    if (tag === malformed) {
      return isMalformed;
    }
    switch (tag >>> 3) {
      case 1: {
        const text = reader.string();
        if (text === null) {
          return isMalformed;
        }
        key = text;
        break;
      }
      case 2: {
        const text = reader.string();
        if (text === null) {
          return isMalformed;
        }
        if (requiredPermissions === null) {
          requiredPermissions = [text];
        } else {
          requiredPermissions.push(text);
        }
        break;
      }
      case 3: {
        const flag = reader.bool();
        if (flag === malformed) {
          return isMalformed;
        }
        livemode = flag === 1;
        break;
      }
      case 4:
        typeNumbers ??= [];
        if (!readNumbers(reader, tag & 7, typeNumbers)) {
          return isMalformed;
        }
        break;
      case 5: {
        const number = reader.uint32();
        if (number === malformed) {
          return isMalformed;
        }
        cacheRules = number | 0;
        break;
      }
      case 6:
        minRevision = reader.int64();
        if (Number.isNaN(minRevision)) {
          return isMalformed;
        }
        break;
      default:
        if (!reader.skip(tag, maxGroupDepth)) {
          return isMalformed;
        }
        // The first is told. What comes after it may still be malformed.
        unknownField ||= tag >>> 3;
    }
  }

  if (unknownField !== 0) {
    return { fault: "unknown_field", number: unknownField };
  }
  const allowedTypes = typeNumbers === null ? noTypes : typesOf(typeNumbers);
  if (allowedTypes === null) {
    return areTypesInvalid;
  }
  return {
    key,
    requiredPermissions: requiredPermissions ?? noPermissions,
    livemode,
    allowedTypes,
    cacheRules,
    minRevision,
  };
}

/** Reads the numbers of an enum field: one, or packed. False where they are malformed. */
function readNumbers(reader: WireReader, wireType: number, numbers: number[]): boolean {
  if (wireType !== WireType.LengthDelimited) {
    return readNumber(reader, numbers);
  }
  const length = reader.uint32();
  const end = reader.at + length;
  // The last may reach past the pack's end: it ends where it ends, as with protobuf-es.
  while (reader.at < end) {
    if (!readNumber(reader, numbers)) {
      return false;
    }
  }
  return length !== malformed;
}

function readNumber(reader: WireReader, numbers: number[]): boolean {
  const number = reader.uint32();
  numbers.push(number);
  return number !== malformed;
}

/** The types, each once; null if a number is that of none. */
function typesOf(numbers: readonly number[]): readonly TokenType[] | null {
  const types: TokenType[] = [];
  for (const number of numbers) {
    const type = typeOfNumber[number];
    if (type === undefined) {
      return null;
    }
    if (!types.includes(type)) {
      types.push(type);
    }
  }
  return types;
}
