import { repeatedMember } from "../../calls/repeated-member.ts";
import { parameterInvalid, parameterMissing, parameterUnknown } from "./errors.ts";
import { type Pair, parseForm } from "./form.ts";

/** The parameters of a request by name. Those of a form are texts, or arrays of texts. */
export type Parameters = {
  readonly encoding: "json" | "form";
  readonly values: ReadonlyMap<string, unknown>;
};

// The end of the year 9999.
const maxUnixSeconds = 253_402_300_799;

/** Reads a JSON object. Throws where a member is there twice: two readers might each take another one. */
export function fromJson(value: object, text: string): Parameters {
  const twice = repeatedMember(text);
  if (twice !== null) {
    throw parameterInvalid(twice, "is there twice");
  }
  return { encoding: "json", values: new Map(Object.entries(value)) };
}

/** Reads a query or form. `name[]` and `name[0]`, `name[1]`… make an array. Throws where a name is there twice. */
export function fromForm(text: string): Parameters {
  const values = new Map<string, string | string[]>();
  for (const pair of parseForm(text)) {
    addPair(values, pair);
  }
  return { encoding: "form", values };
}

function addPair(values: Map<string, string | string[]>, { name, value }: Pair): void {
  const [, array, index] = /^([^[\]]+)\[(\d{0,4})\]$/.exec(name) ?? [];
  const before = values.get(array ?? name);
  if (array === undefined) {
    if (before !== undefined) {
      throw parameterInvalid(name, "is there twice");
    }
    values.set(name, value);
    return;
  }
  const elements = before ?? [];
  if (typeof elements === "string") {
    throw parameterInvalid(array, "is there twice");
  }
  if (index !== "" && Number(index) !== elements.length) {
    throw parameterInvalid(array, "must be numbered from 0 without gaps");
  }
  elements.push(value);
  values.set(array, elements);
}

/** Throws unless every parameter is one of these. */
export function requireKnown({ values }: Parameters, known: readonly string[]): void {
  for (const name of values.keys()) {
    if (!known.includes(name)) {
      throw parameterUnknown(name);
    }
  }
}

/** The text of a parameter, or null when it is absent. */
export function textOf({ values }: Parameters, name: string): string | null {
  const value = values.get(name);
  if (value !== undefined && typeof value !== "string") {
    throw parameterInvalid(name, "must be a string");
  }
  return value ?? null;
}

export function requiredTextOf(parameters: Parameters, name: string): string {
  const text = textOf(parameters, name);
  if (text === null) {
    throw parameterMissing(name);
  }
  return text;
}

/** One of some words, or null when it is absent. */
export function wordOf<Word extends string>(parameters: Parameters, name: string, words: readonly Word[]): Word | null {
  const text = textOf(parameters, name);
  const word = words.find((one) => one === text) ?? null;
  if (text !== null && word === null) {
    throw parameterInvalid(name, `must be ${words.join(" or ")}`);
  }
  return word;
}

export function requiredTextsOf({ values }: Parameters, name: string): readonly string[] {
  const value = values.get(name);
  if (value === undefined) {
    throw parameterMissing(name);
  }
  if (!Array.isArray(value) || !value.every((one) => typeof one === "string")) {
    throw parameterInvalid(name, "must be an array of strings");
  }
  return value;
}

/** A whole number, or null when it is absent. A form has it in decimal digits. */
export function integerOf(
  { encoding, values }: Parameters,
  name: string,
  { min, max }: { readonly min: number; readonly max: number },
): number | null {
  const value = values.get(name);
  if (value === undefined) {
    return null;
  }
  const number = encoding === "form" && typeof value === "string" && /^\d{1,15}$/.test(value) ? Number(value) : value;
  if (typeof number !== "number" || !Number.isInteger(number) || number < min || number > max) {
    throw parameterInvalid(name, `must be a whole number from ${min} to ${max}`);
  }
  return number;
}

/** A time in Unix seconds, or null when it is absent or, in JSON, null. */
export function secondsOf(parameters: Parameters, name: string): number | null {
  return parameters.values.get(name) === null ? null : integerOf(parameters, name, { min: 0, max: maxUnixSeconds });
}
