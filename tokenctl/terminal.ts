import { stderr, stdin, stdout } from "node:process";
import { createInterface } from "node:readline/promises";
import { UsageError } from "./usage.ts";

const maxInputChars = 1_000_000;

// What fails comes to who writes.
stdout.on("error", () => {});
stderr.on("error", () => {});

/** Resolves when the text is out. Rejects with what kept it back: EPIPE where nobody reads, `tokenctl list | head`. */
export async function print(text: string): Promise<void> {
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  stdout.write(`${text}\n`, (error) => (error ? reject(error) : resolve()));
  await promise;
}

/** For people, beside the output. */
export function note(text: string): void {
  stderr.write(`${text}\n`);
}

/** A line of JSON, or a line for each fact: `create time  2026-11-28T18:00:00Z`. */
export async function show(facts: object, isJson: boolean): Promise<void> {
  await print(isJson ? JSON.stringify(facts) : textOf(facts));
}

export function textOf(facts: object): string {
  return factsOf(facts, "\n", 14);
}

function factsOf(facts: object, between: string, width = 0): string {
  const rows = Object.entries(facts).map(([name, value]) => [wordsOf(name), cellOf(value)] as const);
  return rows.flatMap(([name, cell]) => (cell === "" ? [] : [`${name.padEnd(width + 1)} ${cell}`])).join(between);
}

/** A line of JSON for each, or these facts of each in columns, so many rows at once. */
export async function showAll(
  items: AsyncIterable<object>,
  isJson: boolean,
  columns: readonly string[],
  rowsAtOnce = 500,
): Promise<void> {
  let rows = [columns.map((name) => wordsOf(name).toUpperCase())];
  let widths = columns.map(() => 0);
  const flush = async () => {
    widths = widths.map((width, at) => Math.max(width, ...rows.map((row) => row[at]?.length ?? 0)));
    const lines = rows.map((row) => row.map((cell, at) => cell.padEnd(widths[at] ?? 0)).join("  "));
    rows = [];
    await print(lines.map((line) => line.trimEnd()).join("\n"));
  };
  for await (const item of items) {
    if (isJson) {
      await print(JSON.stringify(item));
    } else if (rows.push(columns.map((name) => cellOf(Object(item)[name]))) >= rowsAtOnce) {
      await flush();
    }
  }
  if (!isJson && rows.length > 0) {
    await flush();
  }
}

/** Times have no milliseconds, which people do not read. Nothing is "". */
function cellOf(value: unknown): string {
  if (value instanceof Date) {
    return value.toISOString().replace(/\.\d+Z$/, "Z");
  }
  if (Array.isArray(value)) {
    return value.map(cellOf).join(typeof value[0] === "object" ? `\n${" ".repeat(16)}` : " ");
  }
  if (typeof value === "boolean") {
    return value ? "yes" : "no";
  }
  return typeof value === "object" && value !== null ? factsOf(value, "  ") : String(value ?? "");
}

function wordsOf(name: string): string {
  return name.replaceAll(/[A-Z]/g, (letter) => ` ${letter.toLowerCase()}`);
}

/** What a person types on the terminal; without one, nothing. */
export async function ask(question: string): Promise<string> {
  if (!stdin.isTTY) {
    return "";
  }
  using lines = createInterface({ input: stdin, output: stderr });
  return (await lines.question(question)).trim();
}

/** Standard input; on a terminal one line, which is not shown. Throws a UsageError when it is far more than keys. */
export async function readInput(): Promise<string> {
  let text = "";
  if (stdin.isTTY) {
    stdin.setRawMode(true);
    note("The key, and Enter. What you type is not shown.");
  }
  for await (const chunk of stdin.setEncoding("utf8")) {
    text += chunk;
    if (text.length > maxInputChars) {
      throw new UsageError(`the input is longer than ${maxInputChars} characters`);
    }
    // In raw mode a terminal hands on what would end the input or the program: Ctrl-C and Ctrl-D.
    if (stdin.isTTY && ["\r", "\n", "\x03", "\x04"].some((end) => text.includes(end))) {
      break;
    }
  }
  return text;
}
