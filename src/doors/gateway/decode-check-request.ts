import { malformed, WireReader } from "../../wire/protobuf/wire-reader.ts";
import type { CheckRequest } from "./check.ts";

/** The request headers that may hold a key. */
export const credentialHeaders = ["authorization", "x-api-key"] as const;

/** What is read of a CheckRequest. */
export type DecodedCheckRequest = CheckRequest & { readonly words: ReadonlyMap<string, string> };

/**
 * Words by the bytes that they came as: a route says the same with each call, and to read them takes as long as the
 * rest of a request.
 */
export type KnownWords = { readonly coded: Buffer; readonly words: ReadonlyMap<string, string> }[];

/** The message so far, and where in the bytes the name and the value of the pair lie that is being read. */
type Reading = {
  readonly reader: WireReader;
  readonly bytes: Buffer;
  readonly known: KnownWords;
  words: ReadonlyMap<string, string>;
  /** The words, where they lie in several places. */
  merged: Map<string, string> | null;
  /** Where the tag began that was read last. */
  tagStart: number;
  /** Where the words lie that were passed over and not yet read. */
  wordsStart: number;
  wordsEnd: number;
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
  /** Counts the entries of maps as well, which have no raw value. */
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
const noWords: ReadonlyMap<string, string> = new Map();
const maxKnownBytes = 256;
/** A power of two. */
const maxKnown = 64;

/**
 * Decodes what matters of an envoy.service.auth.v3.CheckRequest, which lies in `bytes` from `start` up to `end`; null
 * where it is malformed. Other fields are passed over, known or not: Envoy says more with each version. An unknown
 * field of TokenService is refused instead, since it may narrow what its caller asks; here, all that narrows stands in
 * the words, which are read whole. `known` belongs to who asks, and is filled here.
 */
export function decodeCheckRequest(
  bytes: Buffer,
  start: number,
  end: number,
  known: KnownWords,
): DecodedCheckRequest | null {
  const reading: Reading = {
    reader: new WireReader(bytes, start, end),
    bytes,
    known,
    words: noWords,
    merged: null,
    tagStart: start,
    wordsStart: start,
    wordsEnd: start,
    authorization: null,
    apiKey: null,
    requestId: null,
    nameStart: 0,
    nameEnd: 0,
    valueStart: 0,
    valueEnd: 0,
  };
  if (!takeFields(reading, end, takeOfCheckRequest) || !readWords(reading)) {
    return null;
  }
  const { words, authorization, apiKey, requestId } = reading;
  return { words, authorization, apiKey, requestId };
}

function takeFields(reading: Reading, end: number, take: TakeField): boolean {
  const { reader } = reading;
  while (reader.at < end) {
    reading.tagStart = reader.at;
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
      return passOverWord(reading);
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
  if (!takePlainPair(reading) && !takePair(reading, takeField)) {
    return false;
  }
  const nameLength = reading.nameEnd - reading.nameStart;
  return nameLength > 31 || ((wantedLengths >>> nameLength) & 1) === 0 || keepHeader(reading);
}

/**
 * Takes the usual header: a short name, then a short value, and nothing else. False where it is anything else: then
 * nothing was read.
 */
function takePlainPair(reading: Reading): boolean {
  const { reader, bytes } = reading;
  const { at } = reader;
  const end = at + 1 + (bytes[at] ?? 0);
  const nameLength = bytes[at + 2] ?? 0;
  const nameEnd = at + 3 + nameLength;
  const valueLength = bytes[nameEnd + 1] ?? 0;
  const isPlain =
    ((end - at - 1) | nameLength | valueLength) < 0x80 &&
    bytes[at + 1] === Tag.HeaderValue.key &&
    bytes[nameEnd] === Tag.HeaderValue.value &&
    nameEnd + 2 + valueLength === end &&
    end <= reader.end;
  if (isPlain) {
    reading.nameStart = at + 3;
    reading.nameEnd = nameEnd;
    reading.valueStart = nameEnd + 2;
    reading.valueEnd = end;
    reader.seek(end);
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

/** Passes over words that lie one behind the other: they are read together, once it is known where they end. */
function passOverWord(reading: Reading): boolean {
  const { reader, tagStart } = reading;
  const end = reader.contentEnd();
  if (end === malformed) {
    return false;
  }
  if (tagStart !== reading.wordsEnd) {
    if (!readWords(reading)) {
      return false;
    }
    reading.wordsStart = tagStart;
  }
  reading.wordsEnd = end;
  reader.seek(end);
  return true;
}

/** Reads the words that were passed over. False where they are malformed. */
function readWords(reading: Reading): boolean {
  const { bytes, known, wordsStart, wordsEnd } = reading;
  const length = wordsEnd - wordsStart;
  if (length === 0) {
    return true;
  }
  const middle = bytes[wordsStart + (length >> 1)] ?? 0;
  const place = (31 * length + 7 * middle + (bytes[wordsEnd - 1] ?? 0)) & (maxKnown - 1);
  const before = known[place];
  if (before !== undefined && isText(before.coded, bytes, wordsStart, wordsEnd)) {
    addWords(reading, before.words);
    return true;
  }
  const words = parseWords(reading);
  if (words === null) {
    return false;
  }
  if (length <= maxKnownBytes) {
    // Not of Node's pool: a few bytes would keep 8 KiB of it.
    const coded = Buffer.allocUnsafeSlow(length);
    bytes.copy(coded, 0, wordsStart, wordsEnd);
    known[place] = { coded, words };
  }
  addWords(reading, words);
  return true;
}

/** The last of several values for one word counts (protobuf's encoding). */
function addWords(reading: Reading, words: ReadonlyMap<string, string>): void {
  if (reading.words === noWords) {
    reading.words = words;
    return;
  }
  // What is known is not to be changed.
  reading.merged ??= new Map(reading.words);
  for (const [name, value] of words) {
    reading.merged.set(name, value);
  }
  reading.words = reading.merged;
}

function parseWords({ bytes, wordsStart, wordsEnd, ...rest }: Reading): ReadonlyMap<string, string> | null {
  const reader = new WireReader(bytes, wordsStart, wordsEnd);
  const reading = { ...rest, bytes, wordsStart, wordsEnd, reader };
  const words = new Map<string, string>();
  while (reader.at < wordsEnd) {
    if (reader.tag() === malformed || !takePair(reading, takeOfEntry)) {
      return null;
    }
    const name = reader.text(reading.nameStart, reading.nameEnd);
    const value = reader.text(reading.valueStart, reading.valueEnd);
    if (name === null || value === null) {
      return null;
    }
    words.set(name, value);
  }
  return words;
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
