import type { Readable } from "node:stream";
import type { Log } from "./log.ts";

const maxCauses = 5;
const maxTextLength = 8192;

/** A log line on its way to the thread that writes it. */
export type LogReport = {
  readonly kind: "log";
  readonly level: keyof Log;
  readonly fields: object;
  readonly message: string;
};

/** What a line says of an error. */
export type ErrorFields = {
  readonly type: string;
  readonly message: string;
  readonly code?: string | number;
  readonly stack?: string;
  readonly cause?: ErrorFields;
};

/**
 * The log of a thread whose lines another thread writes: `post` sends them there.
 *
 * Errors are taken apart before: they would lose their code on the way, or not be sendable at all.
 */
export function createThreadLog(post: (report: LogReport) => void): Log {
  function at(level: keyof Log): Log[typeof level] {
    return (fields, message) => {
      const entries = Object.entries(fields).map(([name, value]) => [name, toField(value)]);
      try {
        post({ kind: "log", level, fields: Object.fromEntries(entries), message });
      } catch {
        // Something in a field cannot be sent. The line is worth more than the field's shape.
        const texts = entries.map(([name, value]) => [name, toText(value)]);
        post({ kind: "log", level, fields: Object.fromEntries(texts), message });
      }
    };
  }
  return { info: at("info"), warn: at("warn"), error: at("error") };
}

/**
 * Logs what Node writes to a thread's standard error, such as a warning. Left to Node, it would wait for a reader of
 * the process' own.
 */
export function logStandardError(stderr: Readable, log: Log): void {
  stderr.setEncoding("utf8").on("data", (text: string) => log.warn({ text: bounded(text) }, "a thread warns"));
}

function toField(value: unknown): unknown {
  return value instanceof Error ? toErrorFields(value, maxCauses) : value;
}

function toErrorFields(error: Error, causesLeft: number): ErrorFields {
  const { name, message, stack, cause } = error;
  const code = "code" in error ? error.code : undefined;
  return {
    type: bounded(name),
    message: bounded(message),
    ...(typeof code === "string" || typeof code === "number" ? { code } : {}),
    ...(stack === undefined ? {} : { stack: bounded(stack) }),
    ...(cause instanceof Error && causesLeft > 0 ? { cause: toErrorFields(cause, causesLeft - 1) } : {}),
  };
}

function toText(value: unknown): string {
  try {
    return bounded(JSON.stringify(value) ?? String(value));
  } catch {
    return bounded(String(value));
  }
}

function bounded(text: unknown): string {
  return String(text).slice(0, maxTextLength);
}
