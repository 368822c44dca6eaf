import { isObject, type JournalLine, parseJson, toJournalLine } from "./revocation-line.ts";

/** What the lines of a file say of changes, whichever program wrote, wrapped or prefixed them. */
export type ChangesInText = {
  readonly lines: readonly JournalLine[];
  /** False when it may tell of a change that cannot be read: cut off, edited, or in another form than JSON. */
  readonly isUnderstood: boolean;
};

/** Docker in Kubernetes in Loki are three. */
const maxDepth = 12;
/** What stands before the JSON may have brackets of its own. */
const maxStarts = 32;

/**
 * Finds the changes in a line: of a revocation log, or a log line of a change, also behind other text (syslog,
 * containerd), as text or object in other JSON (Docker, journald, Loki, Fluent Bit), or several of them in one.
 */
export function changesIn(text: string): ChangesInText {
  const lines: JournalLine[] = [];
  let isUnderstood = true;

  function lookAtText(text: string, depth: number): void {
    if (depth > maxDepth) {
      isUnderstood &&= !text.includes("revision");
      return;
    }
    for (const line of text.split("\n")) {
      const value = jsonIn(line);
      if (value !== undefined) {
        lookAtValue(value, depth);
      } else if (mayTellOfChange(line)) {
        isUnderstood = false;
      }
    }
  }

  function lookAtValue(value: unknown, depth: number): void {
    if (typeof value === "string") {
      lookAtText(value, depth + 1);
    } else if (isBytes(value)) {
      lookAtText(Buffer.from(value).toString("utf8"), depth + 1);
    } else if (Array.isArray(value)) {
      lookAtAll(value, depth);
    } else if (isObject(value)) {
      lookAtObject(value, depth);
    }
  }

  function lookAtObject(fields: Readonly<Record<string, unknown>>, depth: number): void {
    if ("revision" in fields && ("hash" in fields || "head" in fields || "after" in fields)) {
      const line = toJournalLine(fields);
      if (line === null) {
        isUnderstood = false;
      } else {
        lines.push(line);
      }
    } else if (!isOwnLogLine(fields)) {
      lookAtAll(Object.values(fields), depth);
    }
  }

  function lookAtAll(values: readonly unknown[], depth: number): void {
    if (depth > maxDepth) {
      isUnderstood &&= !JSON.stringify(values).includes("revision");
      return;
    }
    for (const value of values) {
      lookAtValue(value, depth + 1);
    }
  }

  lookAtText(text, 0);
  return { lines, isUnderstood };
}

/** The JSON at the end of the text, or undefined. */
function jsonIn(text: string): unknown {
  const starts = [...text.matchAll(/[{[]/g)].slice(0, maxStarts);
  for (const { index } of starts) {
    const value = parseJson(text.slice(index));
    if (value !== undefined) {
      return value;
    }
  }
  return undefined;
}

/** What callers sent may stand in the fields of this program's other lines. It is no line by itself. */
function isOwnLogLine({ level, msg, pid }: Readonly<Record<string, unknown>>): boolean {
  return typeof level === "number" && typeof msg === "string" && typeof pid === "number";
}

/** How journald writes a message that is not plain text. */
function isBytes(value: unknown): value is readonly number[] {
  return (
    Array.isArray(value) && value.length > 0 && value.every((one) => Number.isInteger(one) && one >= 0 && one < 256)
  );
}

/**
 * Signs of a change in text that is no JSON: fields of it by name, each of which a pretty printer may give a line of
 * its own.
 */
function mayTellOfChange(text: string): boolean {
  const plain = text.replaceAll(colours, "");
  return (
    /\b(?:hash|head)\W{1,12}[0-9a-f]{16}/.test(plain) ||
    /\bafter["'\\]+\s*:\s*\d/.test(plain) ||
    /\brevision["'\\]*\s*[:=]\s*\d+\W*$/.test(plain)
  );
}

// biome-ignore lint/suspicious/noControlCharactersInRegex: this is what terminals are sent
const colours = /\u001b\[[0-9;]*m/g;
