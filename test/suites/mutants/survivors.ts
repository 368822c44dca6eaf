/**
 * The mutants of Stryker's bounded run that live, each with the reason why no test can see it, or needs to:
 * `file: what it changes`. A mutant that is not here is named by the suite.
 */
export const survivors: readonly { readonly mutant: string; readonly reason: string }[] = [
  ...because("the short way of what the lines after it answer just so", [
    "src/authority/permission.ts: required.length === 0 -> false",
    "src/calls/presented-key.ts: apiKey === null && authorization !== null && isSingle(authorization) -> false",
    "src/calls/presented-key.ts: { return keyOfAuthorization(trimBlanks(authorization)) ?? keyMissing; } -> {}",
    'src/calls/presented-key.ts: { return value.length <= maxHeaderLength && !value.includes(","); } -> {}',
    'src/calls/presented-key.ts: value.length <= maxHeaderLength && !value.includes(",") -> false',
    "src/calls/presented-key.ts: value.length <= maxHeaderLength -> value.length < maxHeaderLength",
    "src/calls/presented-key.ts: value.length <= maxHeaderLength -> value.length > maxHeaderLength",
    "src/calls/presented-key.ts: value.length <= maxHeaderLength -> true",
    'src/calls/presented-key.ts: "," -> ""',
    "src/wire/protobuf/field-text.ts: value >= 0 && value < 0x80 -> false",
    "src/wire/protobuf/field-text.ts: value >= 0 -> value > 0",
    "src/wire/protobuf/field-text.ts: { return String.fromCharCode(value); } -> {}",
    "src/wire/protobuf/field-text.ts: /^[\\0-\\x7f]*$/ -> /^[\\0-\\x7f]$/",
    "src/wire/protobuf/wire-reader.ts: { return this.#end; } -> {}",
    "src/wire/protobuf/wire-reader.ts: this.#at < this.#end -> false",
    "src/wire/protobuf/wire-reader.ts: byte < 0x80 -> false",
    "src/wire/protobuf/wire-reader.ts: { this.#at += 1; return byte; } -> {}",
    "src/wire/protobuf/wire-reader.ts: (bytes[at] ?? 0) > 0x7f -> true",
    "src/wire/protobuf/wire-reader.ts: (bytes[at] ?? 0) > 0x7f -> (bytes[at] ?? 0) >= 0x7f",
    "src/wire/protobuf/wire-reader.ts: at < end -> at <= end",
  ]),
  ...because("`malformed` is a tag of wire type 7, which the next look refuses as well", [
    "src/doors/rpc/lanes/decode-authenticate-request.ts: tag === malformed -> false",
    "src/doors/rpc/lanes/decode-authenticate-request.ts: { return isMalformed; } -> {}",
    "src/wire/protobuf/wire-reader.ts: tag === malformed -> false",
    "src/wire/protobuf/wire-reader.ts: { return false; } -> {}",
    "src/wire/protobuf/wire-reader.ts: default: return false; -> default:",
  ]),
  ...because("no value gets there for which the two differ", [
    // The length is checked before it.
    "src/authority/key.ts: /^(?:sk|pk|rk)_(?:live|test)_[0-9A-Za-z]{38}$/ -> /(?:sk|pk|rk)_(?:live|test)_[0-9A-Za-z]{38}$/",
    "src/authority/key.ts: /^(?:sk|pk|rk)_(?:live|test)_[0-9A-Za-z]{38}$/ -> /^(?:sk|pk|rk)_(?:live|test)_[0-9A-Za-z]{38}/",
    'src/authority/permission.ts: ":read" -> ""',
    'src/calls/presented-key.ts: "" -> "Stryker was here!"',
    'src/calls/presented-key.ts: [] -> ["Stryker was here"]',
    "src/calls/presented-key.ts: /=+$/ -> /=+/",
    "src/calls/presented-key.ts: start < end -> true",
    "src/calls/presented-key.ts: start < end -> start <= end",
    "src/calls/presented-key.ts: end > start -> true",
    "src/calls/presented-key.ts: end > start -> end >= start",
    'src/authority/caller.ts: [] -> ["Stryker was here"]',
    "src/authority/token.ts: latest === null -> false",
    "src/authority/token.ts: (lastUsedAtMs ?? 0) > latest -> (lastUsedAtMs ?? 0) >= latest",
    "src/calls/policy.ts: role !== null -> true",
    "src/wire/protobuf/field-text.ts: value < 0 -> value <= 0",
    "src/wire/protobuf/field-text.ts: 8 * number + WireType.Varint -> 8 * number - WireType.Varint",
    "src/wire/protobuf/field-text.ts: rest - 0x80 * next -> rest + 0x80 * next",
  ]),
  ...because("what it names is the default, or the same for ASCII", [
    'src/authority/page-token.ts: "latin1" -> ""',
    'src/authority/page-token.ts: "utf8" -> ""',
    'src/wire/protobuf/field-text.ts: "utf8" -> ""',
  ]),
  ...because("it bounds the cost: a text that is too long, or too short, is refused by its hash all the same", [
    "src/authority/page-token.ts: text.length > longestTextLength -> text.length >= longestTextLength",
    "src/authority/page-token.ts: text.length > longestTextLength -> false",
    "src/authority/page-token.ts: { return null; } -> {}",
    "src/authority/page-token.ts: end > 1 -> true",
    "src/authority/page-token.ts: end > 1 -> end >= 1",
    "src/authority/key.ts: text.length === keyLength -> true",
  ]),
];

function because(reason: string, mutants: readonly string[]) {
  return mutants.map((mutant) => ({ mutant, reason }));
}
