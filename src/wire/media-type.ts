/** What a Content-Type names, in lower case. Charset is null where it names none. */
export type MediaType = { readonly name: string; readonly charset: string | null };

const token = "[!#$%&'*+.^_`|~0-9A-Za-z-]+";
const quoted = '"(?:[\\t \\x21\\x23-\\x5b\\x5d-\\x7e]|\\\\[\\t \\x21-\\x7e])*"';
// Each blank can be read in one way only: a long header takes no longer than its length.
const mediaTypePattern = new RegExp(
  `^[\\t ]*(${token}/${token})[\\t ]*((?:;[\\t ]*(?:${token}=(?:${token}|${quoted})[\\t ]*)?)*)$`,
);
const parameterPattern = new RegExp(`(${token})=(${token}|${quoted})`, "g");

/**
 * Reads a Content-Type as RFC 9110, section 8.3.1, writes it: parameters may be quoted, and unknown ones say nothing.
 * Null when it is none, or names two charsets.
 */
export function parseMediaType(text: string): MediaType | null {
  const [, name, parameters = ""] = mediaTypePattern.exec(text) ?? [];
  if (name === undefined) {
    return null;
  }
  const charsets = Array.from(parameters.matchAll(parameterPattern), ([, key = "", value = ""]) => ({
    key: key.toLowerCase(),
    value: unquoted(value).toLowerCase(),
  })).filter(({ key }) => key === "charset");
  return charsets.length > 1 ? null : { name: name.toLowerCase(), charset: charsets[0]?.value ?? null };
}

/** Whether what has this type is UTF-8: where none is named, all types here are. */
export function isUtf8({ charset }: MediaType): boolean {
  return charset === null || charset === "utf-8" || charset === "utf8";
}

/**
 * Which of gRPC's two protocols a Content-Type names, whatever its messages are encoded as; null when it is neither's.
 */
export function grpcTypeOf(contentType: string | null): "application/grpc" | "application/grpc-web" | null {
  const [type, web] = /^application\/grpc(-web)?\b/i.exec(contentType ?? "") ?? [];
  return type === undefined ? null : web === undefined ? "application/grpc" : "application/grpc-web";
}

function unquoted(value: string): string {
  return value.startsWith('"') ? value.slice(1, -1).replaceAll(/\\(.)/g, "$1") : value;
}

/** Whether a Content-Encoding says that the body is as it stands (RFC 9110, section 8.4). */
export function isUnencoded(contentEncoding: string | null): boolean {
  return contentEncoding === null || /^[\t ]*(?:identity[\t ]*)?$/i.test(contentEncoding);
}
