import { readFileSync } from "node:fs";
import { parseArgs } from "node:util";
import type { BulkRevocation, NewToken, TokenFilter } from "../clients/typescript/src/index.ts";

/** The command or its profile is wrong, and nothing was asked: exit code 2. */
export class UsageError extends Error {}

const texts = readFileSync(new URL("manual.txt", import.meta.url), "utf8").split("\n\n");
const [, filters = ""] = texts.pop()?.trimEnd().split("@filters\n") ?? [];
const [general = "", ...paragraphs] = texts.map((text) => text.replace("@filters", filters));

/** What each command takes, word for word as manual.txt has it and --help shows it. */
export const manual: ReadonlyMap<string, string> = new Map(paragraphs.map((text) => [text.split(/\s/)[0] ?? "", text]));

export const overview = `${general}\n\n${paragraphs.map((text) => text.split("\n").slice(0, 2).join("\n")).join("\n")}`;

/** What can be said behind commands, as the client calls it. */
type Options = TokenFilter &
  Pick<BulkRevocation, "reason" | "upToRevision"> &
  Partial<NewToken & Record<"after" | "overlap" | "within", number> & Record<"dryRun" | "once" | "yes", boolean>>;

/** Where that is not the option's own name. An option that may be repeated is in the plural. */
const clientNames: Readonly<Record<string, string>> = { mode: "livemode", expires: "expireTime", hint: "keyHint" };

/** By the word behind an option in the manual. Each answers null to what it cannot read. */
const readers: Readonly<Record<string, (text: string, option: string) => unknown>> = {
  "": () => true,
  "live|test": (text) => text === "live",
  "yes|no": (text) => text === "yes",
  TIME: (text, option) => timeOf(text, option.startsWith("expires") ? 1 : -1),
  DISTANCE: distanceOf,
  REVISION: (text) => (/^\d{1,15}$/.test(text) ? Number(text) : null),
};

/** The options in such a text. */
export function optionsOf(text: string) {
  const options = text.matchAll(/^ {2}--([\w-]+) ?(\S*)(.*)/gm);
  return [...options].map(([, name = "", word = "", rest = ""]) => ({ name, word, isMany: rest.includes("repeated") }));
}

/** Reads arguments as such a text says. Throws a UsageError, or what parseArgs throws. */
export function parseUsage(text: string, args: readonly string[]) {
  const known = optionsOf(`${text}\n${general}`);
  const kindOf = (word: string) => ({ type: word ? "string" : "boolean", multiple: true }) as const;
  const options = Object.fromEntries(known.map(({ name, word }) => [name, kindOf(word)]));
  const { values, positionals: operands } = parseArgs({ args: [...args], options, allowPositionals: true });
  const [, ...wanted] = text.slice(0, text.indexOf("\n")).split(" ");
  if (operands.length > wanted.length || wanted.slice(operands.length).some((operand) => !operand.startsWith("["))) {
    refuse(`the operands are ${wanted.join(" ") || "none"}: see --help`);
  }
  const read = known.flatMap((option) => readOption(option, values[option.name]?.map(String) ?? []));
  // Each is of the type that the manual's word for it says.
  return { operands, options: Object.fromEntries(read) as Options };
}

function readOption({ name, word, isMany }: ReturnType<typeof optionsOf>[number], said: readonly string[]) {
  if (said.length > 1 && !isMany) {
    refuse(`--${name} can be said once`);
  }
  const read = readers[word] ?? String;
  const isOther = (text: string) => word.includes("|") && !word.split("|").includes(text);
  const values = said.map((text) => (isOther(text) ? null : read(text, name)) ?? refuse(`--${name} must be ${word}`));
  const field = clientNames[name] ?? name.replaceAll(/-\w/g, (letter) => letter.slice(1).toUpperCase());
  return said.length === 0 ? [] : [isMany ? [`${field}s`, values] : [field, values[0]]];
}

/** A day, a time with its zone, or a distance from now; null for anything else. */
export function timeOf(text: string, direction: 1 | -1): Date | null {
  const away = distanceOf(text);
  const isTime = /^\d{4}-\d\d-\d\d(T[\d:.]+(Z|[+-]\d\d:\d\d))?$/.test(text);
  const ms = away === null ? Date.parse(isTime ? text : "") : Date.now() + direction * away;
  return Number.isNaN(ms) ? null : new Date(ms);
}

/** Milliseconds of `30d`, `12h`, `10m`; null for anything else. */
function distanceOf(text: string): number | null {
  const [, count, unit = ""] = /^(\d{1,5})([mhd])$/.exec(text) ?? [];
  const unitMs = { m: 60_000, h: 3_600_000, d: 86_400_000 }[unit] ?? 0;
  return count === undefined ? null : Number(count) * unitMs;
}

/** Throws a UsageError. */
export function refuse(message: string): never {
  throw new UsageError(message);
}
