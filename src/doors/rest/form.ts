import { parameterInvalid } from "./errors.ts";

export type Pair = { readonly name: string; readonly value: string };

/** Reads `name=value&…`, as queries and forms have it. Throws where percent signs and their bytes are no UTF-8. */
export function parseForm(text: string): readonly Pair[] {
  return text
    .split("&")
    .filter((part) => part !== "")
    .map((part) => {
      const equals = part.indexOf("=");
      const rawName = equals === -1 ? part : part.slice(0, equals);
      const name = decode(rawName);
      if (name === null) {
        throw parameterInvalid(rawName, "must have a name of percent-encoded UTF-8");
      }
      const value = decode(equals === -1 ? "" : part.slice(equals + 1));
      if (value === null) {
        throw parameterInvalid(name, "must be percent-encoded UTF-8");
      }
      return { name, value };
    });
}

function decode(text: string): string | null {
  try {
    return decodeURIComponent(text.replaceAll("+", " "));
  } catch {
    return null;
  }
}
