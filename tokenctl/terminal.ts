import { stderr, stdin, stdout } from "node:process";
import { createInterface } from "node:readline/promises";
import { PassThrough, type Writable } from "node:stream";
import { inspect, promisify } from "node:util";
import { refuse } from "./usage.ts";

type Columns = Readonly<Record<string, number>>;
const ofKey = { keyPrefix: 9, keyHint: 7, state: 7, held: 5, accountState: 12, lastUseTime: 24, expireTime: 24 };
const ofToken = { id: 28, account: 16, ...ofKey, name: 0 };

/** What the commands that find many things show of each, and in how many characters. */
export const tables: Readonly<Record<string, Columns>> = {
  list: ofToken,
  expiring: ofToken,
  accounts: { account: 24, state: 6, activeCount: 11, expiredCount: 12, revokedCount: 12 },
  tail: { revision: 8, changeTime: 24, action: 15, tokenId: 28, account: 16, caller: 24, reason: 0 },
};

// What fails comes to who writes. Words that nobody reads keep no key back.
[stdout, stderr].map((stream) => stream.on("error", () => {}));

/** Resolves when the line is out. Rejects with what kept it back: EPIPE where nobody reads, `tokenctl list | head`. */
export const print = promisify((line: string, end: (error?: Error | null) => void) => stdout.write(`${line}\n`, end));

/** What a command answers. */
export type Answer = AsyncIterable<object | string> | Promise<object | string>;

/** Prints texts as they are, and facts as JSON or for people: in these columns, or a line for each. */
export async function show(answer: Answer, isJson: boolean, columns?: Columns): Promise<void> {
  let heading = columns === undefined || isJson ? [] : [rowOf(columns, (name) => name)];
  const lineOf = (item: object) => (columns ? rowOf(columns, (name) => Object(item)[name]) : textOf(item));
  for await (const item of Symbol.asyncIterator in answer ? answer : [answer]) {
    const line = typeof item === "string" ? item : isJson ? JSON.stringify(item) : lineOf(item);
    await print([...heading, line].join("\n"));
    heading = [];
  }
  await Promise.all(heading.map((line) => print(line)));
}

function rowOf(columns: Columns, fact: (name: string) => unknown): string {
  const cells = Object.entries(columns).map(([name, width]) => cellOf(fact(name)).padEnd(width));
  return cells.join("  ").trimEnd();
}

/** A line for each fact that there is, and for each element of a list. */
export function textOf(facts: object): string {
  const lines = Object.entries(facts).flatMap(([name, value]) =>
    value?.constructor === Object ? textOf(value) : [value].flat().map((one) => `${name.padEnd(18)} ${cellOf(one)}`),
  );
  return lines.filter((line) => /\s\S/.test(line)).join("\n");
}

function cellOf(value: unknown): string {
  return typeof value === "object" && value !== null ? inspect(value, { breakLength: Infinity }) : String(value ?? "");
}

/** Throws unless a person types this on the terminal. `otherwise` says what to do where there is none. */
export async function confirm(question: string, wanted: string, otherwise: string): Promise<void> {
  if ((stdin.isTTY ? await ask(question, stderr) : refuse(otherwise)) !== wanted) {
    throw new Error("not confirmed: nothing was changed");
  }
}

/** Standard input; on a terminal one line, which is not shown. Throws a UsageError when it is far more than a log. */
export async function readInput(): Promise<string> {
  let text = stdin.isTTY ? await ask("The key, not shown, and Enter:") : "";
  for await (const chunk of stdin.isTTY ? [] : stdin.setEncoding("utf8")) {
    text += text.length < 1e7 ? chunk : refuse("the input exceeds 10 MB");
  }
  return text;
}

/** The line that a person types, which is shown on `echo`, and without one to nobody. */
async function ask(question: string, echo: Writable = new PassThrough()): Promise<string> {
  using lines = createInterface({ input: stdin, output: echo, terminal: true });
  console.error(question);
  return (await lines.question("")).trim();
}
