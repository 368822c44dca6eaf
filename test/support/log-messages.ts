import { readFileSync } from "node:fs";

type Source = { readonly path: string; readonly text: string };

/** A message and the level of its line. */
export type LogMessage = { readonly level: string; readonly message: string };

/**
 * Every message that these sources give to a log, once and in order; `…` stands for what is put into one.
 *
 * A message is the last argument of `log.info`, `log.warn` or `log.error`: a literal, a choice of literals, or a
 * parameter of the function around it, whose callers are then read instead. Anything else throws, so that no message
 * goes by unread.
 */
export function logMessages(paths: readonly string[]): readonly LogMessage[] {
  const sources = paths.map((path) => ({ path, text: withoutComments(readFileSync(path, "utf8")) }));
  const messages = sources.flatMap((source) =>
    [...source.text.matchAll(/\blog\??\.(info|warn|error)\(/g)].flatMap(({ index, 0: call, 1: level = "" }) =>
      messagesOf(source, index, lastArgument(source.text, index + call.length), sources).map(
        (message) => [message, level] as const,
      ),
    ),
  );
  return [...new Map(messages)].toSorted().map(([message, level]) => ({ level, message }));
}

function messagesOf(source: Source, index: number, argument: string, sources: readonly Source[]): readonly string[] {
  if (!/^\w+$/.test(argument)) {
    return literalsOf(source, argument);
  }
  const name = functionAround(source, index, argument);
  const given = sources.flatMap((one) =>
    [...one.text.matchAll(new RegExp(`(?<!function )\\b${name}\\(`, "g"))].flatMap((call) =>
      literalsOf(one, lastArgument(one.text, call.index + call[0].length)),
    ),
  );
  if (given.length === 0) {
    throw new Error(`${source.path}: nobody gives ${name} the message that it logs`);
  }
  return given;
}

/** The name of the nearest function before this place that has such a parameter. */
function functionAround({ path, text }: Source, index: number, parameter: string): string {
  const declarations = text.slice(0, index).matchAll(/function (\w+)\(([^)]*)\)/g);
  const name = [...declarations]
    .filter(([, , parameters = ""]) => new RegExp(`\\b${parameter}: string`).test(parameters))
    .at(-1)?.[1];
  if (name === undefined) {
    throw new Error(`${path}: where the message ${parameter} comes from cannot be read`);
  }
  return name;
}

function literalsOf({ path }: Source, argument: string): readonly string[] {
  const literals = [...argument.matchAll(/"((?:[^"\\]|\\.)*)"|`((?:[^`\\]|\\.)*)`/g)].map(([, plain, template]) =>
    plain === undefined ? (template ?? "").replaceAll(/\$\{[^}]*\}/g, "…") : plain,
  );
  if (literals.length === 0) {
    throw new Error(`${path}: the message ${argument} cannot be read`);
  }
  return literals;
}

/** The text of the last argument of a call whose arguments begin at `start`. */
function lastArgument(text: string, start: number): string {
  let depth = 0;
  let from = start;
  for (let at = start; at < text.length; at += 1) {
    const character = text[at] ?? "";
    if ("\"'`".includes(character)) {
      at = endOfString(text, at);
    } else if ("([{".includes(character)) {
      depth += 1;
    } else if (depth > 0 && ")]}".includes(character)) {
      depth -= 1;
    } else if (depth === 0 && character === ")") {
      return text.slice(from, at).trim();
    } else if (depth === 0 && character === "," && !/^\s*\)/.test(text.slice(at + 1))) {
      from = at + 1;
    }
  }
  throw new Error("a call does not end");
}

function endOfString(text: string, start: number): number {
  let at = start + 1;
  while (at < text.length && text[at] !== text[start]) {
    at += text[at] === "\\" ? 2 : 1;
  }
  return at;
}

/** Comments of whole lines: what may be said about a log is no call of it. */
function withoutComments(text: string): string {
  return text.replaceAll(/^\s*(?:\/\/|\/?\*).*$/gm, "");
}
