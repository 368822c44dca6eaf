import { readFileSync } from "node:fs";
import { parseArgs } from "node:util";

/** The command or its profile is wrong, and nothing was asked: exit code 2. */
export class UsageError extends Error {}

const texts = readFileSync(new URL("manual.txt", import.meta.url), "utf8")
  .trim()
  .split("\n\n");
const [, filters = ""] = texts.pop()?.split("@filters\n") ?? [];
const [general = "", ...paragraphs] = texts.map((text) => text.replace("@filters", filters));

/** What each command takes, word for word as manual.txt has it and --help shows it. */
export const manual: ReadonlyMap<string, string> = new Map(paragraphs.map((text) => [text.split(/\s/)[0] ?? "", text]));

export const overview = `${general}\n\n${paragraphs.map((text) => text.split("\n").slice(0, 2).join("\n")).join("\n")}`;

/** The options in such a text: what follows each, or "" behind a flag. */
export function optionsOf(text: string): ReadonlyMap<string, string> {
  const options = `${text}\n${general}`.matchAll(/^ {2}--([\w-]+) ?(\S*)/gm);
  return new Map([...options].map(([, name = "", value = ""]) => [name, value]));
}

/** What was said behind a command. Its methods throw a UsageError on what they cannot read. */
export type Given = ReturnType<typeof parseUsage>;

/** Reads arguments as such a text says. Throws a UsageError. */
export function parseUsage(text: string, args: readonly string[]) {
  const known = optionsOf(text);
  const { values, positionals } = parse(args, known);
  const [, ...operands] = text.slice(0, text.indexOf("\n")).split(" ");
  const flag = (name: string) => values[name] !== undefined;
  const many = (name: string) => values[name]?.map(String);
  const one = (name: string) => {
    const [first, ...others] = many(name) ?? [];
    return others.length === 0 ? first : refuse(`--${name} can be said once`);
  };
  const need = (name: string) => one(name) ?? refuse(`say --${name} ${known.get(name)}`);
  const read = <Value>(name: string, reader: (said: string) => Value | null) => {
    const said = one(name);
    return said === undefined ? undefined : (reader(said) ?? refuse(`--${name} is no ${known.get(name)}: see --help`));
  };
  for (const [name, choices] of [...known].filter(([, value]) => value.includes("|"))) {
    if (many(name)?.some((choice) => !choices.split("|").includes(choice))) {
      refuse(`--${name} must be one of ${choices.replaceAll("|", ", ")}`);
    }
  }
  const isRight = positionals.length === operands.length || (positionals.length === 0 && operands[0]?.startsWith("["));
  if (!isRight && !flag("help")) {
    refuse(operands.length === 0 ? "the command takes options only" : `say ${operands.join(" ")}`);
  }
  const [operand = "", ...others] = positionals;
  return { operand, others, flag, many, one, need, read };
}

function parse(args: readonly string[], known: ReadonlyMap<string, string>) {
  const kinds = [...known].map(
    ([name, value]) => [name, { type: value === "" ? "boolean" : "string", multiple: true }] as const,
  );
  try {
    return parseArgs({ args: [...args], options: Object.fromEntries(kinds), allowPositionals: true });
  } catch (error) {
    return refuse(error instanceof Error ? error.message : "");
  }
}

/** Throws a UsageError. */
export function refuse(message: string): never {
  throw new UsageError(message);
}

const unitMs = new Map(Object.entries({ m: 60_000, h: 3_600_000, d: 86_400_000 }));

/** Milliseconds of `30d`, `12h`, `10m`; null for anything else, as all that read here. */
export function distance(text: string): number | null {
  const [, count, unit = ""] = /^(\d{1,5})([mhd])$/.exec(text) ?? [];
  return count === undefined ? null : Number(count) * (unitMs.get(unit) ?? 0);
}

/** A day, a time with its zone, or a distance from now. */
export function ahead(text: string): Date | null {
  return timeOf(text, 1);
}

/** The same, with the distance into the past. */
export function back(text: string): Date | null {
  return timeOf(text, -1);
}

function timeOf(text: string, direction: 1 | -1): Date | null {
  const away = distance(text);
  const isTime = /^\d{4}-\d\d-\d\d(T\d\d:\d\d(:\d\d(\.\d+)?)?(Z|[+-]\d\d:\d\d))?$/.test(text);
  const ms = away === null ? Date.parse(isTime ? text : "") : Date.now() + direction * away;
  return Number.isNaN(ms) ? null : new Date(ms);
}

export function count(text: string): number | null {
  return /^\d{1,15}$/.test(text) ? Number(text) : null;
}
