import { malformed, WireReader } from "../../wire/protobuf/wire-reader.ts";
import type { CheckRequest } from "./check.ts";

/** The request headers that may hold a key. */
export const credentialHeaders = ["authorization", "x-api-key"] as const;

/** The message so far, and where in the bytes the name and the value of the pair lie that is being read. */
type Reading = {
  readonly reader: WireReader;
  readonly bytes: Buffer;
  readonly words: Map<string, string>;
  authorization: string | null;
  apiKey: string | null;
  requestId: string | null;
  nameStart: number;
  nameEnd: number;
  valueStart: number;
  valueEnd: number;
};

/** Takes the field with this tag. False where it is malformed. */
type TakeField = (reading: Reading, tag: number) => boolean;

/** Fields by their tags: the number times 8, and 2 for what has a length. The numbers are those of Envoy's files. */
const Tag = {
  CheckRequest: { attributes: 0x0a },
  AttributeContext: { request: 0x22, contextExtensions: 0x52 },
  Request: { http: 0x12 },
  HttpRequest: { headers: 0x1a, headerMap: 0x6a },
  HeaderMap: { headers: 0x0a },
  /** Of the entries of maps as well, which have no raw value. */
  HeaderValue: { key: 0x0a, value: 0x12, rawValue: 0x1a },
} as const;

const wantedHeaders = (
  [
    ["authorization", "authorization"],
    ["x-api-key", "apiKey"],
    ["x-request-id", "requestId"],
  ] as const
).map(([name, field]) => ({ name: Buffer.from(name), field }));
/** Bit by bit, the lengths of their names. All are below 32, which the shift takes. */
const wantedLengths = wantedHeaders.reduce((lengths, { name }) => lengths | (1 << name.length), 0);
const maxGroupDepth = 99;

/**
 * Hot path. Decodes what matters of an envoy.service.auth.v3.CheckRequest, which lies in `bytes` from `start` up to `end`; null where
 * it is malformed. Other fields are passed over, known or not: Envoy says more with each version. An unknown field of TokenService is
 * refused instead, since it may narrow what its caller asks; here, all that narrows stands in the words, which are read whole.
 */
export function decodeCheckRequest(bytes: Buffer, start: number, end: number): CheckRequest | null {
  const reading: Reading = {
    reader: new WireReader(bytes, start, end),
    bytes,
    words: new Map(),
    authorization: null,
    apiKey: null,
    requestId: null,
    nameStart: 0,
    nameEnd: 0,
    valueStart: 0,
    valueEnd: 0,
  };
  if (!takeFields(reading, end, takeOfCheckRequest)) {
    return null;
  }
  const { words, authorization, apiKey, requestId } = reading;
  return { words, authorization, apiKey, requestId };
}

function takeFields(reading: Reading, end: number, take: TakeField): boolean {
  const { reader } = reading;
  while (reader.at < end) {
    const tag = reader.tag();
    if (tag === malformed || !take(reading, tag)) {
      return false;
    }
  }
  return reader.at === end;
}

/** Takes a message within the message. One that comes again adds to the first (protobuf's encoding). */
function takeMessage(reading: Reading, take: TakeField): boolean {
  const end = reading.reader.contentEnd();
  return end !== malformed && takeFields(reading, end, take);
}

function passOver({ reader }: Reading, tag: number): boolean {
  return reader.skip(tag, maxGroupDepth);
}

function takeOfCheckRequest(reading: Reading, tag: number): boolean {
  return tag === Tag.CheckRequest.attributes ? takeMessage(reading, takeOfAttributes) : passOver(reading, tag);
}

function takeOfAttributes(reading: Reading, tag: number): boolean {
  switch (tag) {
    case Tag.AttributeContext.request:
      return takeMessage(reading, takeOfRequest);
    case Tag.AttributeContext.contextExtensions:
      return takePair(reading, takeOfEntry) && keepWord(reading);
    default:
      return passOver(reading, tag);
  }
}

function takeOfRequest(reading: Reading, tag: number): boolean {
  return tag === Tag.Request.http ? takeMessage(reading, takeOfHttp) : passOver(reading, tag);
}

function takeOfHttp(reading: Reading, tag: number): boolean {
  switch (tag) {
    case Tag.HttpRequest.headers:
      return takeHeader(reading, takeOfEntry);
    case Tag.HttpRequest.headerMap:
      return takeMessage(reading, takeOfHeaderMap);
    default:
      return passOver(reading, tag);
  }
}

function takeOfHeaderMap(reading: Reading, tag: number): boolean {
  return tag === Tag.HeaderMap.headers ? takeHeader(reading, takeOfPair) : passOver(reading, tag);
}

function takeHeader(reading: Reading, takeField: typeof takeOfPair): boolean {
  return passOverPlain(reading) || (takePair(reading, takeField) && keepHeader(reading));
}

/**
 * Passes over the usual header: a short name, which by its length is none of ours, then a short value, and nothing else. Most are such,
 * and cost no more than this. False where it is anything else: then nothing was read.
 */
function passOverPlain({ reader, bytes }: Reading): boolean {
  const at = reader.at;
  const length = bytes[at] ?? 0;
  const nameLength = bytes[at + 2] ?? 0;
  const valueAt = at + 3 + nameLength;
  const valueLength = bytes[valueAt + 1] ?? 0;
  const isPlain =
    (length | nameLength | valueLength) < 0x80 &&
    bytes[at + 1] === Tag.HeaderValue.key &&
    bytes[valueAt] === Tag.HeaderValue.value &&
    valueAt + 2 + valueLength === at + 1 + length &&
    at + 1 + length <= reader.end &&
    (nameLength > 31 || ((wantedLengths >>> nameLength) & 1) === 0);
  if (isPlain) {
    reader.seek(at + 1 + length);
  }
  return isPlain;
}

function takePair(reading: Reading, takeField: typeof takeOfPair): boolean {
  const at = reading.reader.at;
  reading.nameStart = at;
  reading.nameEnd = at;
  reading.valueStart = at;
  reading.valueEnd = at;
  return takeMessage(reading, takeField);
}

/** An entry of a map has a key and a value alone. */
function takeOfEntry(reading: Reading, tag: number): boolean {
  return tag === Tag.HeaderValue.rawValue ? passOver(reading, tag) : takeOfPair(reading, tag);
}

function takeOfPair(reading: Reading, tag: number): boolean {
  const { reader } = reading;
  if (tag !== Tag.HeaderValue.key && tag !== Tag.HeaderValue.value && tag !== Tag.HeaderValue.rawValue) {
    return passOver(reading, tag);
  }
  const end = reader.contentEnd();
  if (end === malformed) {
    return false;
  }
  if (tag === Tag.HeaderValue.key) {
    reading.nameStart = reader.at;
    reading.nameEnd = end;
  } else {
    reading.valueStart = reader.at;
    reading.valueEnd = end;
  }
  reader.seek(end);
  return true;
}

function keepWord({ reader, words, nameStart, nameEnd, valueStart, valueEnd }: Reading): boolean {
  const name = reader.text(nameStart, nameEnd);
  const value = reader.text(valueStart, valueEnd);
  if (name === null || value === null) {
    return false;
  }
  words.set(name, value);
  return true;
}

/** Names are compared as bytes, without making text of them: Envoy's are in lower case. */
function keepHeader(reading: Reading): boolean {
  const { reader, bytes, nameStart, nameEnd, valueStart, valueEnd } = reading;
  for (const { name, field } of wantedHeaders) {
    if (isText(name, bytes, nameStart, nameEnd)) {
      const value = reader.text(valueStart, valueEnd);
      if (value === null) {
        return false;
      }
      const before = reading[field];
      reading[field] = before === null ? value : `${before},${value}`;
      return true;
    }
  }
  return true;
}

function isText(text: Buffer, bytes: Buffer, start: number, end: number): boolean {
  if (end - start !== text.length) {
    return false;
  }
  for (let at = 0; at < text.length; at++) {
    if (bytes[start + at] !== text[at]) {
      return false;
    }
  }
  return true;
}
